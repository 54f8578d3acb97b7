// SPDX-License-Identifier: Apache-2.0

import Resources

/// What recovery that is told to follow one timeline finds: stretches of segments, and the base backups in them.
struct ArchiveLine {
    /// Segments without a hole, across the timelines of the line.
    struct Stretch {
        var first: UInt64
        var last: UInt64
        var firstModified: Timestamp
        var lastModified: Timestamp
        /// The index of the piece that owns the last of them.
        var lastPiece: Int
        /// The newer timeline's copy of the next segment is missing, and an older timeline has one of that number.
        /// PostgreSQL would read that one, and come to what the line never had.
        var endsBesideAnother = false
    }

    /// A base backup that may lie on the line.
    struct Candidate {
        /// In the catalog's `backups`.
        var index: Int
        var extent: BackupExtent
        var startTime: Timestamp?
        var finishTime: Timestamp?
        /// As far as is known.
        var isUsable: Bool

        /// Base backups whose place in the log is known; oldest start first, and of those that start at the same
        /// point the one last whose sentinel was written last.
        static func all(_ backups: [CatalogBackup]) -> [Candidate] {
            let placed = backups.indices.filter { backups[$0].extent != nil }
            let sorted = placed.sorted { left, right in
                (backups[left].extent?.start ?? LSN(0), backups[left].backup.lastModified, left)
                    < (backups[right].extent?.start ?? LSN(0), backups[right].backup.lastModified, right)
            }
            return sorted.compactMap { index in
                let backup = backups[index].backup
                return backups[index].extent.map {
                    Candidate(
                        index: index, extent: $0, startTime: backup.startTime, finishTime: backup.finishTime,
                        isUsable: backups[index].problem == nil)
                }
            }
        }
    }

    /// A usable base backup that the line passes through, with all the WAL that it needs to become consistent.
    struct Member {
        var candidate: Candidate
        var stretch: Int

        var index: Int { candidate.index }
        var extent: BackupExtent { candidate.extent }
        var startTime: Timestamp? { candidate.startTime }
        var finishTime: Timestamp? { candidate.finishTime }
    }

    let timeline: Int64
    let pieces: [TimelineTree.Piece]
    private(set) var stretches: [Stretch] = []
    /// Oldest start first.
    private(set) var members: [Member] = []
    /// These and those that can't be used: each made the server leave a segment before it was full.
    private var taken: [Member] = []

    /// - Parameter candidates: oldest start first.
    init(_ tree: TimelineTree, timeline: Int64, candidates: [Candidate] = []) {
        self.timeline = timeline
        pieces = tree.path(to: timeline)
        for (index, piece) in pieces.enumerated() where !piece.isEmpty { append(piece, index, tree) }
        for index in stretches.indices {
            stretches[index].endsBesideAnother = endsBesideAnother(stretches[index], tree)
        }
        let places = Dictionary(pieces.indices.map { (pieces[$0].timeline, $0) }, uniquingKeysWith: { $1 })
        for candidate in candidates {
            let extent = candidate.extent
            guard let place = places[extent.timeline] else { continue }
            let piece = pieces[place]
            guard extent.start >= piece.beginLSN, extent.finish <= piece.leave,
                let stretch = stretch(holding: extent.first, extent.last)
            else { continue }
            taken.append(Member(candidate: candidate, stretch: stretch))
        }
        members = taken.filter(\.candidate.isUsable)
    }

    private mutating func append(_ piece: TimelineTree.Piece, _ index: Int, _ tree: TimelineTree) {
        let runs = tree.runs[piece.timeline] ?? []
        var next = tree.firstRun(of: piece.timeline, endingAt: piece.begin)
        while next < runs.count, runs[next].first < piece.end {
            let run = runs[next]
            let first = max(run.first, piece.begin)
            let last = min(run.last, piece.end - 1)
            if let before = stretches.last, before.last + 1 == first {
                stretches[stretches.count - 1].last = last
                stretches[stretches.count - 1].lastModified = run.lastModified
                stretches[stretches.count - 1].lastPiece = index
            } else {
                stretches.append(
                    Stretch(
                        first: first, last: last, firstModified: run.firstModified, lastModified: run.lastModified,
                        lastPiece: index))
            }
            next += 1
        }
    }

    private func endsBesideAnother(_ stretch: Stretch, _ tree: TimelineTree) -> Bool {
        let next = stretch.last + 1
        guard pieces[stretch.lastPiece].end <= next else { return false }
        // PostgreSQL tries the newest timeline that had begun by then, and falls back as far as the one it read last.
        let owner = owner(of: next)
        return (stretch.lastPiece..<max(owner, stretch.lastPiece)).contains { tree.has(next, on: pieces[$0].timeline) }
    }

    /// The index of the piece that the segment of this number belongs to.
    func owner(of number: UInt64) -> Int { pieces.lastIndex { $0.begin <= number } ?? 0 }

    /// The stretch that holds all segments `first...last`.
    func stretch(holding first: UInt64, _ last: UInt64) -> Int? {
        let index = stretches.partitioningIndex { $0.last >= first }
        return index < stretches.count && stretches[index].first <= first && last <= stretches[index].last ? index : nil
    }

    func segment(_ number: UInt64) -> WalGeometry.Segment {
        WalGeometry.Segment(timeline: pieces[owner(of: number)].timeline, number: number)
    }

    /// The number of a stretch's last segment that was not switched away from by a base backup; `nil` when there is
    /// none.
    func lastOwnSegment(of stretch: Int) -> UInt64? {
        var last = stretches[stretch].last
        let end = taken.partitioningIndex { $0.stretch > stretch }
        for member in taken[..<end].reversed() {
            guard member.stretch == stretch, member.extent.last >= last else { break }
            guard member.extent.first > stretches[stretch].first else { return nil }
            last = min(last, member.extent.first - 1)
        }
        return last
    }

    /// From this base backup on, the line changes timelines at a point that no history file told.
    func isInferred(from timeline: Int64) -> Bool {
        guard let place = pieces.lastIndex(where: { $0.timeline == timeline }) else { return false }
        return pieces[(place + 1)...].contains { $0.isInferred }
    }
}

/// The newest end of an archive: what is missing there may still be on its way, because WAL-G uploads in parallel.
struct ArchiveHead {
    /// As many segments as WAL-G uploads at a time (`WALG_UPLOAD_CONCURRENCY`, 16 unless set).
    static let uploads: UInt64 = 16

    private let line: ArchiveLine?

    init(_ tree: TimelineTree) {
        // Where a timeline was begun and given up again, the archive goes on elsewhere.
        let newest = tree.timelines.last { !tree.isHollow(tree.path(to: $0)) }
        line = newest.map { ArchiveLine(tree, timeline: $0) }
    }

    func mayStillCome(_ segment: WalGeometry.Segment) -> Bool {
        guard let line, let last = line.stretches.last?.last, segment.number + Self.uploads > last else { return false }
        return line.segment(segment.number).timeline == segment.timeline
    }
}
