// SPDX-License-Identifier: Apache-2.0

/// What a restore from a bucket really comes to: files are fetched one by one, as PostgreSQL asks for them, and
/// nothing is known beforehand.
struct HonestRestore {
    enum Target {
        case latest
        case backupEnd
        case time(Int64)
        case lsn(UInt64)
    }

    enum Outcome: Equatable {
        /// Commits that are there after promotion, in the log's order.
        case promoted([Int])
        /// PostgreSQL 13 and later, when the log ends before the target.
        case endedBeforeTarget
        case failed(String)
    }

    let world: World
    /// By timeline.
    let commits: [Int: [World.Commit]]

    init(_ world: World) {
        self.world = world
        commits = Dictionary(uniqueKeysWithValues: world.timelines.keys.map { ($0, world.commits($0)) })
    }

    /// - Parameter timeline: `recovery_target_timeline`.
    func restore(_ name: String, timeline: String, to target: Target) -> Outcome {
        guard let backup = world.backups.first(where: { $0.name == name }) else { return .failed("no such backup") }
        var link: World.Backup? = backup
        while let this = link {
            if this.isBroken { return .failed("\(this.name) is broken") }
            link = this.deltaFrom.flatMap { parent in world.backups.first { $0.name == parent } }
            if this.deltaFrom != nil, link == nil { return .failed("\(this.deltaFrom ?? "") is gone") }
        }
        guard let wanted = timeline == "current" ? backup.timeline : Int(timeline) else { return .failed("timeline") }
        if timeline != "current", wanted != 1, world.timelines[wanted]?.hasHistory != true {
            return .failed("recovery target timeline \(wanted) does not exist")
        }
        var expected = world.ancestry(wanted)
        if world.timelines[wanted]?.hasHistory != true || wanted == 1 { expected = [(wanted, 0, .max)] }
        guard let own = expected.first(where: { $0.timeline == backup.timeline }), backup.start >= own.begin,
            backup.start < own.leave
        else { return .failed("requested timeline \(wanted) is not a child of this server's history") }
        return replay(backup, expected, to: target)
    }

    private func replay(
        _ backup: World.Backup, _ expected: [(timeline: Int, begin: UInt64, leave: UInt64)], to target: Target
    ) -> Outcome {
        // What the base backup itself holds, once consistent.
        var there = commits[backup.timeline, default: []].prefix { $0.lsn < backup.start }.map(\.id)
        var segment = backup.start / world.size
        var reading = 0
        var position = backup.start
        while let timeline = file(segment, expected, notOlderThan: reading) {
            reading = timeline
            // Every segment begins with some record.
            if case .lsn(let lsn) = target, segment * world.size >= lsn, position >= backup.finish {
                return .promoted(there)
            }
            let end = (segment + 1) * world.size
            for commit in commits[timeline, default: []].drop(while: { $0.lsn < position }) {
                guard commit.lsn < end else { break }
                if case .time(let moment) = target, commit.time >= moment {
                    return commit.lsn < backup.finish ? .failed("stop before consistency") : .promoted(there)
                }
                if case .backupEnd = target, commit.lsn >= backup.finish { return .promoted(there) }
                there.append(commit.id)
                if case .lsn(let lsn) = target, commit.lsn >= lsn {
                    return commit.lsn < backup.finish ? .failed("stop before consistency") : .promoted(there)
                }
            }
            position = end
            segment += 1
            if case .backupEnd = target, position >= backup.finish { return .promoted(there) }
        }
        if position < backup.finish { return .failed("WAL ends before end of online backup") }
        if case .latest = target { return .promoted(there) }
        return .endedBeforeTarget
    }

    /// The newest timeline that had begun by this segment and has it, but none older than what was read last.
    private func file(
        _ segment: UInt64, _ expected: [(timeline: Int, begin: UInt64, leave: UInt64)], notOlderThan reading: Int
    ) -> Int? {
        for piece in expected where segment >= piece.begin / world.size {
            if piece.timeline < reading { return nil }
            if world.timelines[piece.timeline]?.archived[segment] != nil { return piece.timeline }
        }
        return nil
    }
}
