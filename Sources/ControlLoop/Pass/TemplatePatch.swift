// SPDX-License-Identifier: Apache-2.0

import JSON
import KubeClient
import Reconciler
import Resources

/// The strategic merge patch that a `TemplateChange` is.
///
/// Containers and variables are merged by name, so what the patch does not name stays. `null` removes a field; a
/// variable is removed by `$patch: delete`, whoever set it. Init containers go all at once: an API server adds an element
/// that is to be deleted from a list that is not there (seen with Kubernetes 1.20).
struct TemplatePatch: Encodable {
    private let seen: Seen
    private let change: TemplateChange

    private init(_ seen: Seen, _ change: TemplateChange) {
        self.seen = seen
        self.change = change
    }

    /// - Throws: `APIError` with code `invalidRequest` when there is no incarnation to make a precondition of.
    static func make(_ seen: Seen, _ change: TemplateChange) throws -> Patch {
        guard !seen.uid.isEmpty, !seen.resourceVersion.isEmpty else {
            throw APIError(.invalidRequest, "\(seen.ref) has no uid or resourceVersion to make a precondition of")
        }
        return Patch(.strategicMerge, body: try JSON.encode(TemplatePatch(seen, change)))
    }

    private enum Keys: String, CodingKey {
        case metadata, uid, resourceVersion, spec, replicas, template, annotations, initContainers, containers
        case name, args, env, readinessProbe, livenessProbe, startupProbe
        case patch = "$patch"
    }

    func encode(to encoder: any Encoder) throws {
        var root = encoder.container(keyedBy: Keys.self)
        var metadata = root.nestedContainer(keyedBy: Keys.self, forKey: .metadata)
        try metadata.encode(seen.uid, forKey: .uid)
        try metadata.encode(seen.resourceVersion, forKey: .resourceVersion)
        var spec = root.nestedContainer(keyedBy: Keys.self, forKey: .spec)
        try spec.encode(change.replicas, forKey: .replicas)
        var template = spec.nestedContainer(keyedBy: Keys.self, forKey: .template)
        if !change.annotations.isEmpty {
            var templateMetadata = template.nestedContainer(keyedBy: Keys.self, forKey: .metadata)
            try templateMetadata.encode(change.annotations, forKey: .annotations)
        }
        var podSpec = template.nestedContainer(keyedBy: Keys.self, forKey: .spec)
        if change.removeInitContainers { try podSpec.encodeNil(forKey: .initContainers) }
        var containers = podSpec.nestedUnkeyedContainer(forKey: .containers)
        var container = containers.nestedContainer(keyedBy: Keys.self)
        try container.encode(change.container, forKey: .name)
        try encode(change.args, forKey: .args, in: &container)
        try encode(change.readinessProbe, forKey: .readinessProbe, in: &container)
        try encode(change.livenessProbe, forKey: .livenessProbe, in: &container)
        if change.removeStartupProbe { try container.encodeNil(forKey: .startupProbe) }
        if change.env.isEmpty && change.removeEnv.isEmpty { return }
        var env = container.nestedUnkeyedContainer(forKey: .env)
        for variable in change.env { try env.encode(variable) }
        for name in change.removeEnv {
            var removed = env.nestedContainer(keyedBy: Keys.self)
            try removed.encode("delete", forKey: .patch)
            try removed.encode(name, forKey: .name)
        }
    }

    private func encode(
        _ value: (some Encodable)?, forKey key: Keys, in container: inout KeyedEncodingContainer<Keys>
    ) throws {
        if let value { try container.encode(value, forKey: key) } else { try container.encodeNil(forKey: key) }
    }
}
