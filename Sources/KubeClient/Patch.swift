// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources

/// A change to a part of an object. It names the incarnation that it was made for, in its own body.
package struct Patch: Hashable, Sendable {
    /// How the body is meant.
    package enum Format: String, Hashable, Sendable {
        case strategicMerge = "application/strategic-merge-patch+json"
        case merge = "application/merge-patch+json"
        case json = "application/json-patch+json"
    }

    package var format: Format
    package var body: [UInt8]

    package init(_ format: Format, body: [UInt8]) {
        self.format = format
        self.body = body
    }

    /// A merge patch of `fields` (an object without `metadata`) into the incarnation that was read.
    package static func merge(_ fields: some Encodable, into seen: Seen) throws(APIError) -> Patch {
        Patch(.merge, body: try encoded(MergeBody(metadata: try MetadataMark(seen), fields: fields)))
    }

    /// Replaces the whole list of finalizers. Not for `/status`, where a merge patch's uid is ignored.
    package static func finalizers(_ finalizers: [String], of seen: Seen) throws(APIError) -> Patch {
        var mark = try MetadataMark(seen)
        mark.finalizers = finalizers
        return Patch(.merge, body: try encoded(MetadataBody(metadata: mark)))
    }

    /// Gives a ConfigMap the data and the annotations of a manifest; other keys stay.
    package static func configMap(_ manifest: ConfigMapManifest, of seen: Seen) throws(APIError) -> Patch {
        var mark = try MetadataMark(seen)
        if !manifest.metadata.annotations.isEmpty { mark.annotations = manifest.metadata.annotations.mapValues { $0 } }
        return Patch(.merge, body: try encoded(ConfigMapBody(metadata: mark, data: manifest.data)))
    }

    /// Sets the number of replicas, if it still is this incarnation and its spec is the one that was read.
    ///
    /// A JSON patch with tests, and no resourceVersion: the status of a StatefulSet is written again and again while it
    /// scales, and says nothing against it.
    package static func scale(to replicas: Int, of seen: Seen, generation: Int64) throws(APIError) -> Patch {
        let uid = try MetadataMark(seen).uid
        return Patch(
            .json,
            body: try encoded([
                PatchOperation(op: "test", path: "/metadata/uid", value: .text(uid)),
                PatchOperation(op: "test", path: "/metadata/generation", value: .number(generation)),
                PatchOperation(op: "replace", path: "/spec/replicas", value: .number(Int64(replicas))),
            ]))
    }

    /// Sets annotations, and removes those without a value; the others stay.
    ///
    /// A merge patch, because it makes the map where there is none: in a JSON patch a step into a map that is missing
    /// fails, and one that makes the map is right only as long as it is missing, which an incarnation does not tell.
    package static func annotations(_ annotations: [String: String?], of seen: Seen) throws(APIError) -> Patch {
        var mark = try MetadataMark(seen)
        mark.annotations = annotations
        return Patch(.merge, body: try encoded(MetadataBody(metadata: mark)))
    }

    /// Removes annotations, if it still is this incarnation and they have these values.
    ///
    /// A JSON patch with tests, and no resourceVersion, as for `scale`.
    package static func dropAnnotations(_ values: [String: String], of seen: Seen) throws(APIError) -> Patch {
        var steps = [PatchOperation(op: "test", path: "/metadata/uid", value: .text(try MetadataMark(seen).uid))]
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            let escaped = name.replacing("~", with: "~0").replacing("/", with: "~1")
            steps.append(PatchOperation(op: "test", path: "/metadata/annotations/\(escaped)", value: .text(value)))
            steps.append(PatchOperation(op: "remove", path: "/metadata/annotations/\(escaped)", value: nil))
        }
        return Patch(.json, body: try encoded(steps))
    }

    /// Removes variables from one container of a workload's pod template, whoever set them.
    package static func dropEnvironment(
        _ names: [String], fromContainer container: String, of seen: Seen
    ) throws(APIError) -> Patch {
        let variables = names.map { EnvironmentBody.Variable(name: $0) }
        let body = EnvironmentBody(
            metadata: try MetadataMark(seen),
            spec: .init(
                template: .init(
                    spec: .init(containers: [EnvironmentBody.Container(name: container, env: variables)]))))
        return Patch(.strategicMerge, body: try encoded(body))
    }
}

/// The metadata of a patch: the precondition, and what is to change.
struct MetadataMark: Encodable {
    var uid: String
    var resourceVersion: String
    var finalizers: [String]?
    /// Those without a value are removed.
    var annotations: [String: String?]?

    init(_ seen: Seen) throws(APIError) {
        let mark = try ObjectMark(seen)
        uid = mark.uid
        resourceVersion = mark.resourceVersion
    }
}

/// One step of a JSON patch.
private struct PatchOperation: Encodable {
    enum Value: Encodable {
        case text(String)
        case number(Int64)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .text(let text): try container.encode(text)
            case .number(let number): try container.encode(number)
            }
        }
    }

    var op: String
    var path: String
    /// Absent where an operation takes none.
    var value: Value?
}

/// The metadata of a PUT: which incarnation.
struct ObjectMark: Encodable {
    var name: String
    var namespace: String?
    var uid: String
    var resourceVersion: String

    init(_ seen: Seen) throws(APIError) {
        guard !seen.uid.isEmpty, !seen.resourceVersion.isEmpty else {
            throw APIError(.invalidRequest, "\(seen.ref) has no uid or resourceVersion to make a precondition of")
        }
        name = seen.ref.name
        namespace = seen.ref.namespace.isEmpty ? nil : seen.ref.namespace
        uid = seen.uid
        resourceVersion = seen.resourceVersion
    }
}

struct ObjectBody<Status: Encodable>: Encodable {
    var apiVersion: String
    var kind: String
    var metadata: ObjectMark
    var status: Status
}

struct DeleteBody: Encodable {
    var apiVersion = "v1"
    var kind = "DeleteOptions"
    var preconditions: Preconditions
    var propagationPolicy: String

    struct Preconditions: Encodable {
        var uid: String
        var resourceVersion: String
    }
}

private struct MergeBody<Fields: Encodable>: Encodable {
    var metadata: MetadataMark
    var fields: Fields

    private enum Keys: String, CodingKey { case metadata }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(metadata, forKey: .metadata)
        try fields.encode(to: encoder)
    }
}

private struct MetadataBody: Encodable {
    var metadata: MetadataMark
}

private struct ConfigMapBody: Encodable {
    var metadata: MetadataMark
    var data: [String: String]
}

private struct EnvironmentBody: Encodable {
    var metadata: MetadataMark
    var spec: Spec

    struct Spec: Encodable { var template: Template }
    struct Template: Encodable { var spec: PodSpec }
    struct PodSpec: Encodable { var containers: [Container] }

    struct Container: Encodable {
        var name: String
        var env: [Variable]
    }

    struct Variable: Encodable {
        var name: String
        var patch = "delete"

        private enum CodingKeys: String, CodingKey {
            case name
            case patch = "$patch"
        }
    }
}

/// A body as bytes. What can't be encoded (a number that is not finite) is refused before it is sent.
func encoded(_ value: some Encodable) throws(APIError) -> [UInt8] {
    do { return try JSON.encode(value) } catch {
        throw APIError(.invalidRequest, "the body can't be encoded: \(explanation(of: error))")
    }
}
