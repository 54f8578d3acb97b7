// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Each write carries its precondition: a create "must not exist", the others the incarnation that was read.
extension APIClient {
    /// Creates an object.
    /// - Returns: The object as the server has it.
    package func create<R: Resource>(_ manifest: some Manifest, as type: R.Type) async throws -> R {
        try decoded(R.self, try await answer(to: try APIRequest.create(manifest)))
    }

    /// Creates an object and drops the answer's body unread: Secrets, Events.
    package func create(_ manifest: some Manifest) async throws {
        let isSecret = Swift.type(of: manifest).resourceKind == secretKind
        _ = try await answer(to: try APIRequest.create(manifest), isSecret: isSecret)
    }

    /// Replaces the whole status of the incarnation that was read. Nothing is written when it is the same already.
    package func replaceStatus<C: CustomResource>(
        _ type: C.Type, of seen: Seen, with status: C.Status
    ) async throws -> C {
        try decoded(C.self, try await answer(to: try APIRequest.replaceStatus(of: seen, with: status)))
    }

    /// Patches the object, or one of its subresources (`status`).
    /// - Parameter patch: Names in its own body the incarnation that it was made for.
    package func patch<R: Resource>(
        _ type: R.Type, _ ref: Ref, _ patch: Patch, subresource: String? = nil
    ) async throws -> R {
        try decoded(R.self, try await answer(to: try APIRequest.patch(ref, patch, subresource: subresource)))
    }

    /// Deletes the incarnation that was read, if it still is as it was read. The object may stay for a while
    /// (finalizers, grace period). `notFound` when it is gone already.
    package func delete(_ seen: Seen, propagation: Propagation = .background) async throws {
        _ = try await answer(to: try APIRequest.delete(seen, propagation: propagation))
    }
}
