// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// The service that holds the ledger is not replaced under a run that needs it.
@Suite("The ledger as a target")
struct LedgerTargetTests {
    @Test(
        "names of this cluster are told from others",
        arguments: [
            ("ledger", LedgerTarget.Name(service: "ledger", namespace: "reprise-system")),
            ("ledger.staging", .init(service: "ledger", namespace: "staging")),
            ("Ledger.Staging.svc", .init(service: "ledger", namespace: "staging")),
            ("ledger.staging.svc.cluster.local.", .init(service: "ledger", namespace: "staging")),
            ("orders-db-0.orders-db.staging", .init(pod: "orders-db-0", service: "orders-db", namespace: "staging")),
            (
                "orders-db-0.orders-db.staging.svc.cluster.local",
                .init(pod: "orders-db-0", service: "orders-db", namespace: "staging")
            ),
            ("10.0.0.8", nil), ("fd00::8", nil), ("/run/postgresql", nil), ("a.b.c.example.com", nil), ("", nil),
            ("svc.svc", .init(service: "svc", namespace: "svc")),
        ] as [(String, LedgerTarget.Name?)])
    func names(_ host: String, _ name: LedgerTarget.Name?) {
        #expect(LedgerTarget.name(host, in: "reprise-system") == name)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var host: String
        var isTarget: Bool
        var testDescription: String { host }

        init(_ host: String, _ isTarget: Bool) {
            self.host = host
            self.isTarget = isTarget
        }
    }

    static let cases = [
        Case("orders-db.staging", true), Case("orders-db.staging.svc.cluster.local", true),
        Case("orders.staging.svc", true), Case("pinned.staging", true), Case("orders-db-0.orders-db.staging.svc", true),
        Case("10.0.0.8", true), Case("orders.elsewhere", false), Case("orders", false), Case("other.staging", false),
        Case("empty.staging", false), Case("nobody.staging", false), Case("orders-db-1.orders-db.staging", false),
        Case("10.0.0.9", false), Case("ledger.example.com", false),
    ]

    private static func world(
        _ host: String, _ change: (inout RestoreRunSpec) -> Void = { _ in }
    ) -> InPlaceWorld {
        var world = InPlaceWorld(change)
        world.reader.settings.ledgerHosts = ["elsewhere.example.com", host]
        world.edit { workload in
            let pod = workload.spec?.template?.spec
            workload.spec?.serviceName = "orders-db"
            workload.spec?.template = .init(spec: pod, labels: ["app": "orders", "tier": "db"])
        }
        let services: [(String, [String: String]?)] = [
            ("orders", ["app": "orders"]), ("other", ["app": "other"]), ("empty", nil),
            ("pinned", ["statefulset.kubernetes.io/pod-name": "orders-db-0"]),
        ]
        for (name, selector) in services {
            world.reader.strangers[Ref(Service.resourceKind, "staging", name)] = Service(
                metadata: ObjectMeta(name: name, namespace: "staging", uid: "s-\(name)"), selector: selector)
        }
        return world
    }

    @Test("a run that would take the ledger away is refused in the plan, and says the way out", arguments: cases)
    func refused(_ one: Case) {
        var world = Self.world(one.host)
        world.settle()
        #expect((world.reason == "LedgerTarget") == one.isTarget)
        guard one.isTarget else {
            #expect(world.condition(RunCondition.planned)?.isTrue == true)
            return
        }
        #expect(world.state == .failed)
        #expect(world.run.status?.message?.contains("holds the ledger (\(one.host))") == true)
        #expect(world.run.status?.message?.contains("spec.ledger: BestEffort") == true)
        #expect(world.deeds.isEmpty)
    }

    @Test("whoever says that the run may do without the ledger is believed")
    func acknowledged() {
        var world = Self.world("orders-db.staging") { $0.ledger = "BestEffort" }
        world.settle()
        #expect(world.condition(RunCondition.planned)?.isTrue == true)
    }

    @Test("nothing is planned before the Service of the ledger's name is read")
    func readFirst() {
        var world = Self.world("orders.staging")
        world.reader.unread = [Ref(Service.resourceKind, "staging", "orders")]
        world.settle()
        #expect(world.state == .pending && world.deeds.isEmpty)
        world.reader.unread = []
        world.settle()
        #expect(world.reason == "LedgerTarget")
    }
}
