// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What can be restored of the services of one engine: values, so that no engine is an `if` in a decision.
package struct EngineDescription: Equatable, Sendable {
    package enum Capability: String, CaseIterable, Hashable, Sendable {
        /// Replace a service's data with that of a backup.
        case inPlace
        /// Make a new service from a backup.
        case newService
        /// Restore to a moment between backups.
        case pointInTime

        fileprivate var words: String {
            switch self {
            case .inPlace: "in place"
            case .newService: "into a new service"
            case .pointInTime: "to a moment"
            }
        }
    }

    package var engine: EngineName
    /// What the engine and its backups allow.
    package var capabilities: Set<Capability>
    /// What of that this version carries out.
    package var implemented: Set<Capability>
    /// Without an archive of WAL-G there is nothing to restore from.
    package var needsArchive: Bool

    package init(
        _ engine: EngineName, _ capabilities: Set<Capability> = [.inPlace], implemented: Set<Capability> = [],
        needsArchive: Bool = false
    ) {
        self.engine = engine
        self.capabilities = capabilities
        self.implemented = implemented
        self.needsArchive = needsArchive
    }

    /// An engine of which nothing else is said can be restored in place and no more.
    package static let all = [
        EngineDescription(
            .postgres, [.inPlace, .newService, .pointInTime], implemented: [.inPlace, .newService, .pointInTime],
            needsArchive: true),
        EngineDescription(.redis), EngineDescription(.mongodb), EngineDescription(.s3, [.inPlace, .newService]),
    ]

    package static func of(_ engine: EngineName) -> EngineDescription {
        all.first { $0.engine == engine } ?? EngineDescription(engine)
    }

    /// What this version can do for a service of this engine.
    package func offers(_ capability: Capability, hasArchive: Bool) -> Bool {
        capabilities.contains(capability) && implemented.contains(capability) && (hasArchive || !needsArchive)
    }

    /// Why nothing of this engine is restored so; `nil` when it is. What the engine can't do comes before what only this
    /// version can't.
    package func obstacle(to mode: RestoreMode?, intoNewService isNew: Bool) -> String? {
        var wanted: [Capability] = [isNew ? .newService : .inPlace]
        if mode == .pointInTime { wanted.append(.pointInTime) }
        if let missing = wanted.last(where: { !capabilities.contains($0) }) {
            let able = Capability.allCases.filter { capabilities.contains($0) }.map(\.words).joined(separator: " or ")
            return "\(engine.rawValue) can't be restored \(missing.words), only \(able)"
        }
        guard !implemented.isSuperset(of: wanted) else { return nil }
        return "\(engine.rawValue) is not available in this version, which restores Postgres"
    }

    /// The same, for the engine that a spec names.
    static func obstacle(to spec: RestoreRunSpec?, of engine: Open<EngineName>?) -> String? {
        guard let engine else { return nil }
        guard let known = engine.known else { return "\(engine.text) is an engine that this version does not know" }
        return of(known).obstacle(to: spec?.mode?.known, intoNewService: spec?.target?.service == nil)
    }
}
