// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Where a base backup lies in the log.
package struct BackupExtent: Equatable, Sendable {
    package var timeline: Int64
    package var start: LSN
    package var finish: LSN
    /// Numbers of the segments that it needs to become consistent: `first...last`.
    package var first: UInt64
    package var last: UInt64
}

/// Judges base backups by what their own objects and those of their chains say, without a look at the log.
struct BackupJudge {
    let listing: ArchiveListing
    let geometry: WalGeometry
    private let byName: [String: ScannedBackup]
    /// Names by their first part, `base_<24 digits>`.
    private let byStart: [String: [String]]
    private var chains: [String: Chain] = [:]

    init(_ listing: ArchiveListing, _ geometry: WalGeometry) {
        self.listing = listing
        self.geometry = geometry
        byName = Dictionary(listing.backups.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        byStart = Dictionary(grouping: listing.backups.map(\.name)) { String($0.prefix(29)) }
    }

    /// The segment that a base backup's name begins with, e.g. `00000001000000000000000A`.
    static func segmentName(_ backup: String) -> String? {
        guard backup.hasPrefix("base_") else { return nil }
        let name = String(backup.dropFirst(5).prefix(24))
        return name.utf8.count == 24 ? name : nil
    }

    mutating func judged() -> [CatalogBackup] {
        listing.backups.map { judged($0) }.sorted {
            ($0.extent?.start ?? LSN(0), $0.timeline, $0.backup.name)
                < ($1.extent?.start ?? LSN(0), $1.timeline, $1.backup.name)
        }
    }

    private mutating func judged(_ backup: ScannedBackup) -> CatalogBackup {
        let segment = Self.segmentName(backup.name).flatMap { geometry.segment(named: $0) }
        let chain = chain(of: backup)
        var result = CatalogBackup(
            backup: backup, timeline: segment?.timeline ?? 0, problem: nil, chain: chain.names, extent: nil)
        let start = backup.startLSN.flatMap { LSN($0) }
        let finish = backup.finishLSN.flatMap { LSN($0) }
        if let segment, let start, let finish, start <= finish {
            let first = geometry.number(containing: start)
            // The finish LSN is where the next record would begin.
            let last = finish.value == 0 ? 0 : geometry.number(containing: LSN(finish.value - 1))
            result.extent = BackupExtent(
                timeline: segment.timeline, start: start, finish: finish, first: first, last: max(first, last))
        }
        if let problem = backup.problem {
            result.problem = unusable(backup, problem)
        } else if segment == nil {
            result.problem = unusable(backup, "its name is none that WAL-G gives")
        } else if result.extent == nil {
            result.problem = unusable(backup, "it does not say from which LSN to which LSN it goes")
        } else if backup.systemIdentifier == nil {
            result.problem = unusable(backup, "it names no system identifier")
        } else if let finding = versionProblem(backup) {
            result.problem = finding
        } else if let broken = chain.problem {
            result.problem = unusable(backup, broken)
        }
        return result
    }

    private func versionProblem(_ backup: ScannedBackup) -> CatalogFinding? {
        guard let version = backup.pgVersion else { return unusable(backup, "it names no version of PostgreSQL") }
        guard version / 10_000 != listing.major else { return nil }
        return CatalogFinding(
            "MajorMismatch",
            "base backup \(backup.name) is of PostgreSQL \(version / 10_000), the archive is that of \(listing.major)")
    }

    private func unusable(_ backup: ScannedBackup, _ why: String) -> CatalogFinding {
        CatalogFinding("BackupUnusable", "base backup \(backup.name) can't be used: \(why)")
    }

    // MARK: Delta chains

    private struct Chain {
        /// From the full backup to this one.
        var names: [String]
        /// Why it is of no use, if so.
        var problem: String?
    }

    /// The log that a parent would need is no matter: only its files are fetched.
    private mutating func chain(of backup: ScannedBackup) -> Chain {
        var waiting: [ScannedBackup] = []
        var seen: Set<String> = []
        var current = backup
        var chain: Chain?
        while chain == nil {
            if let known = chains[current.name] {
                chain = known
                break
            }
            waiting.append(current)
            guard seen.insert(current.name).inserted else {
                chain = Chain(names: [], problem: "delta backups build on each other in a circle")
                break
            }
            guard current.isDelta || current.deltaFrom != nil else {
                chain = Chain(names: [], problem: nil)
                break
            }
            guard let name = parentName(of: current) else {
                chain = Chain(names: [], problem: "which backup \(current.name) builds on is not known")
                break
            }
            if let parent = byName[name] {
                current = parent
            } else {
                chain = Chain(names: [], problem: "\(name), which \(current.name) builds on, is gone")
            }
        }
        var result = chain ?? Chain(names: [], problem: nil)
        for next in waiting.reversed() where chains[next.name] == nil {
            if let last = result.names.last, result.problem == nil, let problem = byName[last]?.problem {
                result.problem = "\(last), which it builds on, can't be used: \(problem)"
            }
            result.names.append(next.name)
            chains[next.name] = result
        }
        return chains[backup.name] ?? result
    }

    private func parentName(of backup: ScannedBackup) -> String? {
        if let name = backup.deltaFrom { return name }
        // `base_<start>_D_<start of its parent>`: the parent's own name begins with that.
        let parts = backup.name.split(separator: "_")
        guard parts.count >= 4, parts[2] == "D" else { return nil }
        let start = "base_\(parts[3])"
        let named = byStart[start, default: []].filter { $0 != backup.name }
        return named.count == 1 ? named[0] : named.isEmpty ? start : nil
    }
}

extension WalGeometry {
    /// The size of segments that agrees with every base backup's name and start LSN; `nil` when there is none.
    init?(agreeingWith listing: ArchiveListing) {
        let places = listing.backups.compactMap { backup -> (LSN, String)? in
            guard backup.problem == nil, let start = backup.startLSN.flatMap({ LSN($0) }),
                let name = BackupJudge.segmentName(backup.name)
            else { return nil }
            return (start, name)
        }
        var candidates: [WalGeometry] = []
        if let size = listing.segmentSize {
            guard size > 0, let geometry = WalGeometry(segmentSize: UInt64(size)) else { return nil }
            candidates = [geometry]
        } else {
            for (start, name) in places {
                if let geometry = WalGeometry(placing: start, in: name), !candidates.contains(geometry) {
                    candidates.append(geometry)
                }
            }
            if places.isEmpty { candidates = [.usual] }
        }
        let fitting = candidates.first { geometry in
            places.allSatisfy { start, name in
                geometry.segment(named: name)?.number == geometry.number(containing: start)
            }
        }
        guard let fitting else { return nil }
        self = fitting
    }
}
