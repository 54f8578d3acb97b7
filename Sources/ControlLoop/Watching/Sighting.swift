// SPDX-License-Identifier: Apache-2.0

import Resources

/// One object to be watched by itself, as long as somebody reads it.
struct Sighting: Sendable {
    var key: Key
    var kind: any AnyKind
    var opening: UInt64
    /// Rung when nobody reads it any more.
    var dropped: Bell
}

extension Loop {
    /// Watches one object until nobody reads it any more.
    /// - Throws: `CancellationError`; `LoopEnded.timeWentBack`.
    func carryOut(_ sighting: Sighting) async throws {
        let key = sighting.key
        let place = Place.sight(key, opening: sighting.opening)
        let scope = InformerScope(place, namespace: key.namespace.isEmpty ? nil : key.namespace, name: key.name)
        showWatches()
        defer {
            update { $0.finishSighting(sighting) }
            showWatches()
        }
        _ = try await untilRung(sighting.dropped) { try await sighting.kind.follow(in: self, scope) }
    }

    private func showWatches() {
        let count = update { $0.watching }
        configuration.state.update { $0.watches = count }
    }
}

/// Does something until it is done.
/// - Returns: `nil` when a bell was rung first.
func untilRung<Value: Sendable>(
    _ bell: Bell, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await bell.wait(beyond: 0)
            return nil
        }
        return try await firstOf(&group)
    }
}
