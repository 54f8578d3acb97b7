// SPDX-License-Identifier: Apache-2.0

/// What the API server calls a resource: where its objects live and what they say they are.
package struct ResourceKind: Hashable, Sendable {
    /// API group; empty for the core group.
    package var group: String
    package var version: String
    /// Plural name in the URL, e.g. `statefulsets`.
    package var plural: String
    /// CamelCase kind, e.g. `StatefulSet`.
    package var kind: String

    package init(group: String, version: String, plural: String, kind: String) {
        self.group = group
        self.version = version
        self.plural = plural
        self.kind = kind
    }

    /// `group/version`, or the version alone for the core group.
    package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
}

/// The name of one object of one kind. Another incarnation under the same name has the same `Ref` and another UID.
package struct Ref: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var kind: ResourceKind
    /// Empty for cluster-scoped objects.
    package var namespace: String
    package var name: String

    package init(_ kind: ResourceKind, _ namespace: String, _ name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    /// `StatefulSet db/orders`.
    package var description: String {
        namespace.isEmpty ? "\(kind.kind) \(name)" : "\(kind.kind) \(namespace)/\(name)"
    }

    package static func < (left: Ref, right: Ref) -> Bool {
        (left.kind.kind, left.namespace, left.name) < (right.kind.kind, right.namespace, right.name)
    }
}

/// A fact about the cluster: one object as the API server returned it, as far as the controller knows its kind.
///
/// Facts decode and never encode, so a half-known object can't be written back. Decoding does not validate: spec enums,
/// times and quantities stay open text, and what they mean is a decision.
package protocol Resource: Decodable, Equatable, Sendable {
    static var resourceKind: ResourceKind { get }
    var metadata: ObjectMeta { get }
    /// What `Reader.objects` finds it by: its labels, and where a kind refers to another one by its spec, that reference
    /// under a label's name. What the spec says counts more than a label, which anybody may write.
    var indexed: [String: String]? { get }
}

extension Resource {
    package var indexed: [String: String]? { metadata.labels }

    /// The labels, with a reference of the spec among them, or without any label of that name.
    package func labels(and name: String, _ value: String?) -> [String: String]? {
        guard value != nil || metadata.labels?[name] != nil else { return metadata.labels }
        var all = metadata.labels ?? [:]
        all[name] = value
        return all
    }

    package var ref: Ref { Ref(Self.resourceKind, metadata.namespace ?? "", metadata.name) }
    /// This incarnation, as read: the precondition of every change to it.
    package var seen: Seen {
        Seen(ref: ref, uid: metadata.uid ?? "", resourceVersion: metadata.resourceVersion ?? "")
    }
}

/// One of our own kinds: it has a status, which only the controller writes.
package protocol CustomResource: Resource {
    associatedtype Status: Codable & Equatable & Sendable
    var status: Status? { get }
}

/// One incarnation of one object, as read: the precondition of every change to it.
package struct Seen: Hashable, Sendable {
    package var ref: Ref
    package var uid: String
    package var resourceVersion: String

    package init(ref: Ref, uid: String, resourceVersion: String) {
        self.ref = ref
        self.uid = uid
        self.resourceVersion = resourceVersion
    }
}

/// The metadata every object carries, as far as the controller reads it. `managedFields` is never decoded.
package struct ObjectMeta: Decodable, Equatable, Sendable {
    package var name: String
    package var namespace: String?
    package var uid: String?
    package var resourceVersion: String?
    package var generation: Int64?
    package var creationTimestamp: Timestamp?
    package var deletionTimestamp: Timestamp?
    package var labels: [String: String]?
    package var annotations: [String: String]?
    package var finalizers: [String]?
    package var ownerReferences: [OwnerReference]?

    package init(
        name: String, namespace: String? = nil, uid: String? = nil, resourceVersion: String? = nil,
        generation: Int64? = nil, creationTimestamp: Timestamp? = nil, deletionTimestamp: Timestamp? = nil,
        labels: [String: String]? = nil, annotations: [String: String]? = nil, finalizers: [String]? = nil,
        ownerReferences: [OwnerReference]? = nil
    ) {
        self.name = name
        self.namespace = namespace
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.generation = generation
        self.creationTimestamp = creationTimestamp
        self.deletionTimestamp = deletionTimestamp
        self.labels = labels
        self.annotations = annotations
        self.finalizers = finalizers
        self.ownerReferences = ownerReferences
    }

    package var isDeleting: Bool { deletionTimestamp != nil }
}

/// Who owns an object. The same shape is read and written.
package struct OwnerReference: Codable, Equatable, Sendable {
    package var apiVersion: String
    package var kind: String
    package var name: String
    package var uid: String
    package var controller: Bool?
    package var blockOwnerDeletion: Bool?

    package init(apiVersion: String, kind: String, name: String, uid: String, controller: Bool? = nil) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.name = name
        self.uid = uid
        self.controller = controller
    }
}

/// Text that names a case of `Known`, open to values that this version does not know (a newer controller wrote them).
package struct Open<Known: RawRepresentable & Sendable & Equatable>: Codable, Equatable, Sendable
where Known.RawValue == String {
    package var text: String

    package init(_ known: Known) { text = known.rawValue }
    package init(text: String) { self.text = text }

    /// The case, or `nil` when this version does not know it.
    package var known: Known? { Known(rawValue: text) }

    package init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
