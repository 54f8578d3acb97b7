// SPDX-License-Identifier: Apache-2.0

import Resources

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// True once in `times`.
    mutating func once(in times: Int) -> Bool { Int.random(in: 0..<times, using: &self) == 0 }
}

/// A server's whole life as it really was: timelines, commits, base backups, and what of it lies in the bucket.
struct World {
    struct Commit {
        var lsn: UInt64
        /// Microseconds.
        var time: Int64
        var id: Int
    }

    struct Timeline {
        var parent: Int?
        var switchLSN: UInt64 = 0
        /// Its own commits, from the switch on.
        var commits: [Commit] = []
        var position: UInt64
        /// Segments in the bucket, and when they were written.
        var archived: [UInt64: Int64] = [:]
        var hasHistory = true
        var isHistoryReadable = true
    }

    struct Backup {
        var name: String
        var timeline: Int
        var start: UInt64
        var finish: UInt64
        var startTime: Int64
        var finishTime: Int64
        var sentinel: Int64
        var deltaFrom: String?
        var isBroken = false
        var namesFinishTime = true
    }

    let size: UInt64
    /// By number; the first is number 1.
    var timelines: [Int: Timeline]
    var backups: [Backup] = []
    var clock: Int64 = 1_780_000_000_000_000
    var isCopied = false
    /// A base backup was taken and is not there any more: what it did to the log, no listing explains.
    private(set) var hidesBackups = false
    private(set) var commitCount = 0

    var newest: Int { timelines.count }

    init(size: UInt64, firstSegment: UInt64) {
        self.size = size
        timelines = [1: Timeline(position: firstSegment * size + 40)]
    }

    // MARK: What happens

    mutating func commit(_ timeline: Int, _ dice: inout Dice) {
        guard var this = timelines[timeline] else { return }
        clock += Int64.random(in: 1...60_000_000, using: &dice)
        this.commits.append(Commit(lsn: this.position, time: clock, id: commitCount))
        commitCount += 1
        timelines[timeline] = this
        move(timeline, to: this.position + UInt64.random(in: 1...(size / 6), using: &dice), &dice)
    }

    /// Whatever segment is left behind is archived.
    mutating func move(_ timeline: Int, to position: UInt64, _ dice: inout Dice) {
        guard let old = timelines[timeline]?.position else { return }
        if position / size > old / size {
            timelines[timeline]?.archived[old / size] = clock + Int64.random(in: 0...20_000_000, using: &dice)
        }
        timelines[timeline]?.position = position
    }

    mutating func backup(_ timeline: Int, _ dice: inout Dice) {
        guard let start = timelines[timeline]?.position else { return }
        let startTime = clock
        for _ in 0..<Int.random(in: 0...12, using: &dice) { commit(timeline, &dice) }
        guard let finish = timelines[timeline]?.position.advanced(by: 8) else { return }
        // The stop switches to the next segment, which is archived before the backup is recorded.
        timelines[timeline]?.position = finish
        move(timeline, to: (finish / size + 1) * size + 40, &dice)
        for _ in 0..<Int.random(in: 0...2, using: &dice) { commit(timeline, &dice) }
        clock += Int64.random(in: 0...5_000_000, using: &dice)
        var name = "base_\(self.name(timeline, start / size))"
        var parent: String?
        if dice.once(in: 3),
            let full = backups.last(where: { $0.timeline == timeline && $0.start / size < start / size })
        {
            parent = full.name
            name += "_D_\(full.name.dropFirst(5).prefix(24))"
        }
        guard !backups.contains(where: { $0.name == name }) else {
            hidesBackups = true
            return
        }
        backups.append(
            Backup(
                name: name, timeline: timeline, start: start, finish: finish, startTime: startTime, finishTime: clock,
                sentinel: clock + 1_000_000, deltaFrom: parent))
    }

    /// A new timeline that leaves `parent` at this position.
    mutating func promote(from parent: Int, at position: UInt64) -> Int {
        let number = newest + 1
        timelines[number] = Timeline(parent: parent, switchLSN: position, position: position + 100)
        return number
    }

    // MARK: What is true

    /// Ancestors and itself, newest first, each with where it begins and where the line leaves it.
    func ancestry(_ timeline: Int) -> [(timeline: Int, begin: UInt64, leave: UInt64)] {
        var result: [(timeline: Int, begin: UInt64, leave: UInt64)] = []
        var current: Int? = timeline
        var leave = UInt64.max
        while let this = current, let node = timelines[this] {
            result.append((this, node.switchLSN, leave))
            leave = min(leave, node.switchLSN)
            current = node.parent
        }
        return result
    }

    /// Every commit of a timeline's past and its own, in the log's order.
    func commits(_ timeline: Int) -> [Commit] {
        ancestry(timeline).reversed().flatMap { piece in
            (timelines[piece.timeline]?.commits ?? []).filter { $0.lsn < piece.leave }
        }
    }

    // MARK: What the bucket shows

    func name(_ timeline: Int, _ segment: UInt64) -> String {
        let perLog = (1 << 32) / size
        return hex(UInt64(timeline)) + hex(segment / perLog) + hex(segment % perLog)
    }

    private func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    var listing: ArchiveListing {
        var listing = ArchiveListing(path: "orders", major: 15, seenAt: Timestamp(microseconds: clock))
        listing.segmentSize = Int64(size)
        for (number, timeline) in timelines.sorted(by: { $0.key < $1.key }) {
            listing.ranges += ranges(number, timeline)
            guard number > 1, timeline.hasHistory else { continue }
            var scanned = ScannedTimeline(timeline: Int64(number), parent: nil, switchLSN: nil)
            if timeline.isHistoryReadable {
                scanned.parent = timeline.parent.map { Int64($0) }
                scanned.switchLSN = LSN(timeline.switchLSN).description
            } else {
                scanned.problem = "EncryptedOrCorrupt"
            }
            listing.timelines.append(scanned)
        }
        listing.backups = backups.map(scanned).sorted { $0.lastModified > $1.lastModified }
        listing.backupsTotal = backups.count
        if isCopied, let backup = backups.first {
            listing.suspicion = TimeSuspicion(
                segment: name(backup.timeline, backup.start / size), modified: Timestamp(microseconds: clock),
                backup: backup.name)
        }
        return listing
    }

    private func ranges(_ number: Int, _ timeline: Timeline) -> [SegmentRange] {
        var ranges: [SegmentRange] = []
        var last: UInt64?
        for (segment, time) in timeline.archived.sorted(by: { $0.key < $1.key }) {
            let moment = Timestamp(microseconds: time)
            let name = name(number, segment)
            if let last, last + 1 == segment {
                ranges[ranges.count - 1].last = name
                ranges[ranges.count - 1].lastModified = moment
            } else {
                ranges.append(SegmentRange(first: name, last: name, firstModified: moment, lastModified: moment))
            }
            last = segment
        }
        return ranges
    }

    private func scanned(_ backup: Backup) -> ScannedBackup {
        var scanned = ScannedBackup(name: backup.name, lastModified: Timestamp(microseconds: backup.sentinel))
        scanned.startTime = Timestamp(microseconds: backup.startTime)
        scanned.finishTime = backup.namesFinishTime ? Timestamp(microseconds: backup.finishTime) : nil
        scanned.startLSN = LSN(backup.start).description
        scanned.finishLSN = LSN(backup.finish).description
        scanned.pgVersion = 150_015
        scanned.systemIdentifier = "7300000000000000001"
        scanned.isDelta = backup.deltaFrom != nil
        scanned.deltaFrom = backup.deltaFrom
        scanned.problem = backup.isBroken ? "it has no tar_partitions" : nil
        return scanned
    }
}

extension World {
    /// A random life, and random damage to what was archived of it.
    static func random(seed: UInt64) -> World {
        var dice = Dice(seed: seed)
        let sizes: [UInt64] = [16 << 20, 16 << 20, 1 << 20, 64 << 20]
        var world = World(
            size: sizes.randomElement(using: &dice) ?? 16 << 20, firstSegment: UInt64.random(in: 1...300, using: &dice))
        var active = 1
        world.backup(active, &dice)
        for _ in 0..<Int.random(in: 2...12, using: &dice) {
            switch Int.random(in: 0..<10, using: &dice) {
            case 0...3: for _ in 0..<Int.random(in: 1...90, using: &dice) { world.commit(active, &dice) }
            case 4...6: world.backup(active, &dice)
            case 7: world.clock += Int64.random(in: 0...40, using: &dice) * 3_600_000_000
            default: active = world.fork(active, &dice)
            }
        }
        for _ in 0..<Int.random(in: 0...60, using: &dice) { world.commit(active, &dice) }
        world.clock += 60_000_000
        world.damage(active, &dice)
        return world
    }

    /// A failover, or a recovery into the past; sometimes given up again.
    private mutating func fork(_ active: Int, _ dice: inout Dice) -> Int {
        guard let parent = timelines[active] else { return active }
        var position = parent.position
        if dice.once(in: 2) {
            let earliest = max(parent.switchLSN, parent.commits.first?.lsn ?? position)
            position = UInt64.random(in: min(earliest, position)...position, using: &dice)
            if dice.once(in: 4) { position = max(parent.switchLSN, position / size * size) }
        }
        let child = promote(from: active, at: position)
        if dice.once(in: 12) { timelines[child]?.hasHistory = false }
        if dice.once(in: 12) { timelines[child]?.isHistoryReadable = false }
        if dice.once(in: 3) {
            for _ in 0..<Int.random(in: 0...20, using: &dice) { commit(child, &dice) }
            if dice.once(in: 3) { backup(child, &dice) }
            return active
        }
        return child
    }

    private mutating func damage(_ active: Int, _ dice: inout Dice) {
        for number in timelines.keys.sorted() {
            for segment in (timelines[number]?.archived ?? [:]).keys.sorted() where dice.once(in: 60) {
                timelines[number]?.archived[segment] = nil
            }
        }
        if dice.once(in: 3), let head = timelines[active]?.archived.keys.max() {
            for segment in (head > 5 ? head - 5 : 0)...head where dice.once(in: 3) {
                timelines[active]?.archived[segment] = nil
            }
        }
        if dice.once(in: 3), backups.count > 1 {
            hidesBackups = true
            backups.removeFirst(Int.random(in: 1..<backups.count, using: &dice))
            let oldest = (backups.map(\.start).min() ?? 0) / size
            for number in timelines.keys.sorted() {
                let archived = timelines[number]?.archived ?? [:]
                timelines[number]?.archived = archived.filter { $0.key >= oldest }
            }
        }
        for index in backups.indices {
            if dice.once(in: 15) { backups[index].isBroken = true }
            if dice.once(in: 15) { backups[index].namesFinishTime = false }
        }
        if dice.once(in: 8), backups.count > 2 {
            hidesBackups = true
            backups.remove(at: Int.random(in: 1..<backups.count, using: &dice))
        }
        if dice.once(in: 8) {
            isCopied = true
            clock += 40 * 3_600_000_000
            for number in timelines.keys.sorted() {
                let archived = timelines[number]?.archived ?? [:]
                timelines[number]?.archived = archived.mapValues { [clock] _ in clock }
            }
            for index in backups.indices { backups[index].sentinel = clock }
        }
    }
}
