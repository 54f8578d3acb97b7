// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources

/// A user's service with its archive, and a run that replaces its data: decisions are taken one pass at a time, and what
/// they ask for happens at once. Jobs end when they are told to.
struct InPlaceWorld: CustomStringConvertible {
    var description: String { "the world" }

    var reader = FakeReader()
    var run: RestoreRun
    /// Everything that was asked for, in order.
    var effects: [Effect] = []
    var now = Story.now
    /// What a Job that is made will say, by role; one without an entry runs on.
    var results: [JobRole: LogFacts] = [:]

    static let scope = RunScope(namespace: "staging", runUID: Story.uid)
    static let workloadUID = "9c41b7aa-0000-4000-8000-000000000001"
    static let image = "registry.example.com/postgres-walg:15"

    init(_ change: (inout RestoreRunSpec) -> Void = { _ in }) {
        run = Story.run { spec in
            spec.mode = Open(.inPlace)
            spec.source = RestoreSource(service: .init(name: "orders"))
            spec.target = .init(service: .init(name: "orders"))
            spec.confirm = "orders/9c41b7aa"
            change(&spec)
        }
        reader.add(Story.repository("prod", prefix: "prod"))
        reader.add(Self.service)
        reader.add(Self.workload())
        reader.add(Self.pod())
        reader.add(
            PersistentVolumeClaim(
                metadata: ObjectMeta(name: "data-orders-db-0", namespace: "staging", uid: "claim-1"),
                status: .init(phase: "Bound")))
        reader.add(Namespace(metadata: ObjectMeta(name: "staging", uid: "space-1")))
        results[.inspect] = .inspect(Self.inspection())
        results[.recheck] = .inspect(Self.inspection())
        results[.scanSource] = .scan(Story.scan())
        results[.replace] = .replace(Self.replaced())
        results[.undo] = .replace(Self.undone())
    }

    static var service: ManagedService {
        var spec = ManagedServiceSpec()
        spec.engine = Open(.postgres)
        spec.workload = .init(name: "orders-db")
        spec.major = 15
        spec.claim = "data"
        spec.archive = .init(repository: .init(name: "prod"), path: "orders")
        spec.credentials = .init(secretName: "orders-password")
        return ManagedService(
            metadata: ObjectMeta(name: "orders", namespace: "staging", uid: "m-1", resourceVersion: "2"), spec: spec)
    }

    static func workload(replicas: Int = 1) -> ServiceWorkload {
        var container = ServiceWorkload.Container(name: "postgres", image: image)
        container.env = [
            CopiedVariable(name: "WALG_S3_PREFIX", value: "s3://backups/prod/orders"),
            CopiedVariable(name: "LANG", value: "C"),
        ]
        container.volumeMounts = [CopiedMount(name: "data", mountPath: "/var/lib/postgresql")]
        return ServiceWorkload(
            metadata: ObjectMeta(
                name: "orders-db", namespace: "staging", uid: workloadUID, resourceVersion: "11", generation: 3),
            spec: .init(
                replicas: replicas, template: .init(spec: .init(containers: [container])),
                volumeClaimTemplates: [.init(name: "data")]))
    }

    static func pod() -> Pod {
        var pod = Pod(
            metadata: ObjectMeta(name: "orders-db-0", namespace: "staging", uid: "pod-1", resourceVersion: "4"),
            status: .init(phase: "Running", podIP: "10.0.0.8"))
        pod.status?.conditions = [.init(type: "Ready", status: "True")]
        return pod
    }

    static func inspection() -> InspectResult {
        var seen = InspectResult(attempt: "", code: "OK")
        seen.major = "15"
        seen.systemIdentifier = Story.systemIdentifier
        seen.controlState = "in production"
        seen.freeBytes = 10 << 30
        seen.dataBytes = 25_000_000
        seen.timeline = 1
        return seen
    }

    static func replaced() -> ReplaceResult {
        var result = ReplaceResult(attempt: "", code: "OK")
        result.swapped = true
        result.systemIdentifier = Story.systemIdentifier
        result.timeline = 2
        result.parentTimeline = 1
        result.historyReason = "no recovery target specified"
        result.checks = [.init(name: "orders-are-there", passed: true, milliseconds: 3)]
        return result
    }

    static func undone() -> ReplaceResult {
        var result = ReplaceResult(attempt: "", code: "OK")
        result.undone = true
        return result
    }

    // MARK: Going on

    /// One pass, and what it asked for.
    @discardableResult
    mutating func pass() -> Decision<RestoreRunStatus> {
        let decision = RestoreRunBehavior.decide(RestoreRunBehavior.observe(run, through: &reader), at: now)
        if let status = decision.status { run.status = status }
        effects += decision.effects
        for effect in decision.effects { carryOut(effect) }
        return decision
    }

    /// Passes until nothing changes, or something holds.
    mutating func settle(until isEnough: (InPlaceWorld) -> Bool = { _ in false }) {
        for _ in 0..<60 where !isEnough(self) {
            let before = run.status
            let decision = pass()
            if decision.effects.isEmpty, run.status == before { return }
        }
    }

    private mutating func carryOut(_ effect: Effect) {
        switch effect {
        case .create(.job(let job)): end(job)
        case .create(.configMap(let map)):
            reader.add(
                ConfigMap(
                    metadata: ObjectMeta(
                        name: map.metadata.name, namespace: "staging", uid: "u-\(map.metadata.name)",
                        resourceVersion: "5", labels: map.metadata.labels)))
        case .spool(let entry): reader.addSpool(entry)
        case .replaceConfigMap(_, let manifest): reader.addSpool(manifest)
        case .delete(let seen): reader.objects[seen.ref] = nil
        case .scale(let seen, _, let replicas): scale(seen, to: replicas)
        case .annotate(let seen, let annotations):
            guard var workload = reader.objects[seen.ref] as? ServiceWorkload else { return }
            var all = workload.metadata.annotations ?? [:]
            for (key, value) in annotations { all[key] = value }
            workload.metadata.annotations = all
            reader.add(workload)
        case .dropAnnotations(let seen, let values):
            guard var workload = reader.objects[seen.ref] as? ServiceWorkload else { return }
            workload.metadata.annotations = workload.metadata.annotations?.filter { values[$0.key] != $0.value }
            reader.add(workload)
        case .setFinalizers(_, let finalizers): run.metadata.finalizers = finalizers
        case .record: reader.recorded(run, run.status ?? RestoreRunStatus())
        default: break
        }
    }

    private mutating func scale(_ seen: Seen, to replicas: Int) {
        guard var workload = reader.objects[seen.ref] as? ServiceWorkload else { return }
        workload.spec?.replicas = replicas
        reader.add(workload)
        let pod = Self.pod()
        if replicas == 0 { reader.objects[pod.ref] = nil } else { reader.add(pod) }
    }

    private mutating func end(_ job: JobManifest) {
        guard let role = JobRole.allCases.first(where: { job.metadata.name.contains("-\($0.rawValue)-") }) else {
            return
        }
        let ordinal = job.metadata.name.split(separator: "-").last.flatMap { Int($0) } ?? 1
        guard let result = results[role] else {
            reader.add(
                Job(
                    metadata: ObjectMeta(
                        name: job.metadata.name, namespace: "staging", uid: "j-\(job.metadata.name)",
                        resourceVersion: "3", labels: job.metadata.labels), status: .init(active: 1)))
            return
        }
        reader.finish(role, result, ordinal: ordinal, names: Self.scope)
    }

    // MARK: People

    mutating func approve(by approver: String = "bob", _ change: (inout RestoreApprovalSpec) -> Void = { _ in }) {
        var spec = RestoreApprovalSpec()
        spec.run = .init(name: run.metadata.name, uid: Story.uid)
        spec.planHash = run.status?.plan?.hash
        spec.decision = Open(.approve)
        spec.approver = approver
        spec.reason = "orders were lost at noon"
        change(&spec)
        reader.add(
            RestoreApproval(
                metadata: ObjectMeta(
                    name: "approval-by-\(approver)", namespace: "staging", uid: "a-\(approver)", creationTimestamp: now),
                spec: spec))
    }

    mutating func edit(_ change: (inout ServiceWorkload) -> Void) {
        guard var workload = workload else { return }
        change(&workload)
        reader.add(workload)
    }

    // MARK: Others

    /// Another run, in some state.
    static func other(_ state: RunState) -> RestoreRun {
        var status = RestoreRunStatus()
        status.state = Open(state)
        return RestoreRun(metadata: ObjectMeta(name: "other", namespace: "staging", uid: "u-other"), status: status)
    }

    /// The StatefulSet names a run of that name.
    mutating func lock(byOther uid: String = "u-other") {
        edit { $0.metadata.annotations = TargetLock(runUID: uid, runName: "other").annotations.compactMapValues { $0 } }
    }

    /// Another service, whose archive is another one.
    static var invoices: ManagedService {
        var other = service
        other.metadata.name = "invoices"
        other.metadata.uid = "m-2"
        other.spec?.archive?.path = "invoices"
        return other
    }

    // MARK: Looking

    var workload: ServiceWorkload? {
        reader.objects[Ref(ServiceWorkload.resourceKind, "staging", "orders-db")] as? ServiceWorkload
    }
    var state: RunState? { run.status?.state?.known }
    var reason: String? { run.status?.conditions?.condition(RunCondition.finished)?.reason }
    func condition(_ type: String) -> Condition? { run.status?.conditions?.condition(type) }
    var isLocked: Bool { workload?.metadata.annotations?[TargetLock.annotation] == Story.uid }

    /// What was asked for, in words, without the ledger's rows.
    var deeds: [String] {
        effects.compactMap { effect in
            switch effect {
            case .create(let child):
                "create \(child.ref.kind.kind) \(child.ref.name.replacing("reprise-3f2a91c0-1111-", with: ""))"
            case .delete(let seen):
                "delete \(seen.ref.kind.kind) \(seen.ref.name.replacing("reprise-3f2a91c0-1111-", with: ""))"
            case .scale(_, _, let replicas): "scale to \(replicas)"
            case .annotate: "lock"
            case .dropAnnotations: "unlock"
            case .spool(let entry): "spool \(entry.status)"
            case .replaceConfigMap: "spool again"
            case .record, .setFinalizers: nil
            default: "\(effect)"
            }
        }
    }
}
