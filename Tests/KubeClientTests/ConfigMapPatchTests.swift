// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources
import Testing

@Suite struct ConfigMapPatchTests {
    private static let ref = Ref(ConfigMap.resourceKind, "db", "catalog")

    @Test func namesTheIncarnationAndNothingThatItDoesNotChange() throws {
        let manifest = ConfigMapManifest(
            metadata: ManifestMeta(
                name: "catalog", namespace: "db", labels: ["a": "b"], annotations: ["digest": "d"],
                ownerReferences: [OwnerReference(apiVersion: "v1", kind: "X", name: "x", uid: "o")]),
            data: ["archive.json": "{}"])
        let patch = try Patch.configMap(manifest, of: Seen(ref: Self.ref, uid: "u", resourceVersion: "7"))
        #expect(patch.format == .merge)
        #expect(
            String(decoding: patch.body, as: UTF8.self) == """
                {"metadata":{"uid":"u","resourceVersion":"7","annotations":{"digest":"d"}},"data":{"archive.json":"{}"}}
                """)
    }

    @Test(arguments: [("", "7"), ("u", "")])
    func needsAnIncarnation(_ uid: String, _ version: String) {
        let manifest = ConfigMapManifest(metadata: ManifestMeta(name: "catalog", namespace: "db"), data: [:])
        let seen = Seen(ref: Self.ref, uid: uid, resourceVersion: version)
        #expect(throws: APIError.self) { try Patch.configMap(manifest, of: seen) }
    }
}
