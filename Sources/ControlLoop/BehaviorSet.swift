// SPDX-License-Identifier: Apache-2.0

import KubeClient
package import Reconciler
package import Resources

/// One kind that the loop lists and watches, whole or in part.
package struct WatchedKind: Sendable {
    let kind: any AnyKind
    let selector: LabelPair?
    let namespace: String?

    /// - Parameters:
    ///   - type: The kind's facts.
    ///   - selector: Only objects with this label; the others are absent for `Reader.object`.
    ///   - namespace: Only this namespace; what is elsewhere is unknown to `Reader.object`. `nil` watches them all.
    package init<R: Resource>(_ type: R.Type, labelled selector: LabelPair? = nil, in namespace: String? = nil) {
        self.kind = KindBox<R>()
        self.selector = selector
        self.namespace = namespace
    }

    /// A child kind: only what the controller made.
    package static func children<R: Resource>(_ type: R.Type, in namespace: String? = nil) -> WatchedKind {
        WatchedKind(type, labelled: LabelPair(Label.managedBy, Label.managedByValue), in: namespace)
    }
}

/// A behaviour together with everything that needs its Swift types.
package struct BoundBehavior: Sendable {
    let kind: any AnyKind
    /// Builds the snapshot, and gives what decides on it. The second part needs no reader and runs outside the lock.
    let consider: @Sendable (any Resource, inout PassReader) -> Deliberation

    /// Binds a behaviour over one of our kinds, whose status it writes.
    package init<B: Behavior>(_ behavior: B.Type) where B.Object: CustomResource, B.Object.Status == B.Status {
        self.kind = KindBox<B.Object>()
        self.consider = { object, reader in
            guard let object = object as? B.Object else { return { _ in Proposal() } }
            let snapshot = B.observe(object, through: &reader)
            return { now in
                let decision = B.decide(snapshot, at: now)
                return Proposal(behavior, object, decision) { status in
                    { client, seen in try await client.replaceStatus(B.Object.self, of: seen, with: status) }
                }
            }
        }
    }

    /// Binds a behaviour over a kind whose status is not ours.
    package init<B: Behavior>(_ behavior: B.Type) where B.Status == NoStatus {
        self.kind = KindBox<B.Object>()
        self.consider = { object, reader in
            guard let object = object as? B.Object else { return { _ in Proposal() } }
            let snapshot = B.observe(object, through: &reader)
            return { now in Proposal(behavior, object, B.decide(snapshot, at: now)) { _ in nil } }
        }
    }
}

/// What the loop runs: the behaviours, and the kinds that they may look at.
package struct BehaviorSet: Sendable {
    let behaviors: [BoundBehavior]
    let watched: [WatchedKind]
    let recorded: RecordedKind?

    /// - Parameters:
    ///   - behaviors: At most one for each kind.
    ///   - watched: Each kind once. The kinds of the behaviours themselves may be left out: they are watched whole.
    ///   - recorded: The watched kind whose objects have rows in the ledger, if there is one.
    package init(
        _ behaviors: [BoundBehavior], watching watched: [WatchedKind], recorded: RecordedKind? = nil
    ) {
        self.recorded = recorded
        let missing = behaviors.filter { behavior in !watched.contains { $0.kind.typeID == behavior.kind.typeID } }
        self.behaviors = behaviors
        self.watched = missing.map { WatchedKind(kind: $0.kind, selector: nil, namespace: nil) } + watched
    }
}

extension WatchedKind {
    init(kind: any AnyKind, selector: LabelPair?, namespace: String?) {
        self.kind = kind
        self.selector = selector
        self.namespace = namespace
    }
}

/// One kind behind an existential: the few calls that need its Swift type.
protocol AnyKind: Sendable {
    var typeID: ObjectIdentifier { get }
    var resourceKind: ResourceKind { get }
    func get(_ client: APIClient, _ namespace: String, _ name: String) async throws -> (any Resource)?
    /// Those with a label, ordered by name, as the server has them now.
    func list(_ client: APIClient, _ namespace: String, _ selector: String) async throws -> [any Resource]
    func patch(_ client: APIClient, _ ref: Ref, _ patch: Patch) async throws -> any Resource
    /// Lists and watches the kind until the task is cancelled.
    func follow(in loop: Loop, _ scope: InformerScope) async throws
}

struct KindBox<R: Resource>: AnyKind {
    var typeID: ObjectIdentifier { ObjectIdentifier(R.self) }
    var resourceKind: ResourceKind { R.resourceKind }

    func get(_ client: APIClient, _ namespace: String, _ name: String) async throws -> (any Resource)? {
        try await client.get(R.self, namespace, name)
    }

    func list(_ client: APIClient, _ namespace: String, _ selector: String) async throws -> [any Resource] {
        let result: ListResult<R> = try await client.list(R.self, namespace: namespace, selector: selector)
        // One that can't be decoded is there all the same: whoever relies on a whole list must not miss it.
        if let broken = result.undecodable.first {
            throw APIError(.undecodable, "\(broken.ref) can't be decoded: \(broken.message)")
        }
        return result.items.sorted { $0.metadata.name < $1.metadata.name }
    }

    func patch(_ client: APIClient, _ ref: Ref, _ patch: Patch) async throws -> any Resource {
        try await client.patch(R.self, ref, patch)
    }

    func follow(in loop: Loop, _ scope: InformerScope) async throws {
        try await Informer<R>(loop: loop, scope: scope).run()
    }
}
