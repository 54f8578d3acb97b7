// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources
import Seams

/// The calls about the Lease. Each write carries the uid and resourceVersion of the record that it was decided on.
struct LeaseWrites: Sendable {
    private(set) var client: APIClient
    let ref: Ref
    let identity: String
    let times: ElectionTimes

    /// The fields that a write may change; the others (a newer version's) stay. What is `nil` is left alone.
    private struct Fields: Encodable {
        var spec: Spec

        struct Spec: Encodable {
            var holderIdentity: String
            var leaseDurationSeconds: Int
            var acquireTime: String?
            var renewTime: String
            var leaseTransitions: Int?
        }
    }

    private var durationSeconds: Int { Int(max(1, times.duration / 1_000)) }

    /// The same with another patience, of at least half a second.
    func with(timeout: Milliseconds) -> LeaseWrites {
        var copy = self
        copy.client = client.with(timeout: max(500, timeout))
        return copy
    }

    func read() async throws -> LeaseFact {
        LeaseFact(try await client.get(Lease.self, ref.namespace, ref.name))
    }

    func create(transitions: Int, at now: Timestamp) async throws -> LeaseRecord {
        let manifest = LeaseManifest(
            metadata: ManifestMeta(name: ref.name, namespace: ref.namespace),
            spec: LeaseSpecManifest(
                holderIdentity: identity, leaseDurationSeconds: durationSeconds, acquireTime: now, renewTime: now,
                leaseTransitions: transitions))
        return LeaseRecord(try await client.create(manifest, as: Lease.self))
    }

    func claim(_ record: LeaseRecord, transitions: Int, at now: Timestamp) async throws -> LeaseRecord {
        try await write(
            Fields.Spec(
                holderIdentity: identity, leaseDurationSeconds: durationSeconds, acquireTime: now.rfc3339Micro,
                renewTime: now.rfc3339Micro, leaseTransitions: transitions),
            to: record)
    }

    func renew(_ record: LeaseRecord, at now: Timestamp) async throws -> LeaseRecord {
        try await write(
            Fields.Spec(
                holderIdentity: identity, leaseDurationSeconds: durationSeconds, renewTime: now.rfc3339Micro),
            to: record)
    }

    /// Gives it back: whoever looks next may take it at once.
    func release(_ record: LeaseRecord, at now: Timestamp) async throws {
        _ = try await write(
            Fields.Spec(holderIdentity: "", leaseDurationSeconds: 1, renewTime: now.rfc3339Micro), to: record)
    }

    private func write(_ spec: Fields.Spec, to record: LeaseRecord) async throws -> LeaseRecord {
        let seen = Seen(ref: ref, uid: record.uid, resourceVersion: record.resourceVersion)
        let patch = try Patch.merge(Fields(spec: spec), into: seen)
        return LeaseRecord(try await client.patch(Lease.self, ref, patch))
    }
}
