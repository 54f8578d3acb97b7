// SPDX-License-Identifier: Apache-2.0

/// A desired object, written by POST and never read back into this type.
package protocol Manifest: Encodable, Equatable, Sendable {
    static var resourceKind: ResourceKind { get }
    var metadata: ManifestMeta { get }
}

extension Manifest {
    package var ref: Ref { Ref(Self.resourceKind, metadata.namespace, metadata.name) }
}

/// The metadata of a new object.
package struct ManifestMeta: Encodable, Equatable, Sendable {
    package var name: String
    package var namespace: String
    package var labels: [String: String]
    package var annotations: [String: String]
    package var ownerReferences: [OwnerReference]
    package var finalizers: [String]

    package init(
        name: String, namespace: String, labels: [String: String] = [:], annotations: [String: String] = [:],
        ownerReferences: [OwnerReference] = [], finalizers: [String] = []
    ) {
        self.name = name
        self.namespace = namespace
        self.labels = labels
        self.annotations = annotations
        self.ownerReferences = ownerReferences
        self.finalizers = finalizers
    }

    private enum CodingKeys: String, CodingKey {
        case name, namespace, labels, annotations, ownerReferences, finalizers
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        if !namespace.isEmpty { try container.encode(namespace, forKey: .namespace) }
        if !labels.isEmpty { try container.encode(labels, forKey: .labels) }
        if !annotations.isEmpty { try container.encode(annotations, forKey: .annotations) }
        if !ownerReferences.isEmpty { try container.encode(ownerReferences, forKey: .ownerReferences) }
        if !finalizers.isEmpty { try container.encode(finalizers, forKey: .finalizers) }
    }
}

/// Adds `apiVersion` and `kind` around a manifest's own fields, as the API server wants them.
package struct TypedManifest<Body: Manifest>: Encodable, Sendable {
    package var body: Body

    package init(_ body: Body) { self.body = body }

    private enum CodingKeys: String, CodingKey { case apiVersion, kind }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(Body.resourceKind.apiVersion, forKey: .apiVersion)
        try container.encode(Body.resourceKind.kind, forKey: .kind)
        try body.encode(to: encoder)
    }
}
