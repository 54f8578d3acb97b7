// SPDX-License-Identifier: Apache-2.0

import Catalog
import Digest
import ObjectStore
import Resources

/// What a scan is asked for, from the command line.
struct ScanRequest {
    var bucket = ""
    /// The archive without its major version.
    var path = ""
    var major: Int?
    /// Only say whether anything lies below the path.
    var expectEmpty = false
    var comparing: SourceFingerprint?
}

/// Looks at one archive in a bucket and tells what is there.
struct Scan {
    /// As many backups as a result names.
    static let backupLimit = 50

    let store: ObjectStore
    let request: ScanRequest
    let attempt: String

    /// - Returns: always a result: what went wrong is its code.
    func run() async -> ScanResult {
        do {
            return request.expectEmpty ? try await emptiness() : try await archive()
        } catch let error as ObjectStoreError {
            return ScanResult(attempt: attempt, code: error.code.rawValue, message: error.message)
        } catch {
            return ScanResult(attempt: attempt, code: "ScanFailed", message: "\(type(of: error))")
        }
    }

    private func emptiness() async throws -> ScanResult {
        let page = try await store.list(prefix: "\(request.path)/", limit: 5)
        var result = ScanResult(attempt: attempt, code: "OK")
        result.objects = Int64(page.objects.count)
        result.sampleKeys = page.objects.map(\.key)
        return result
    }

    private func archive() async throws -> ScanResult {
        var result = ScanResult(attempt: attempt, code: "OK")
        let top = try await pages(prefix: "\(request.path)/", delimiter: "/")
        result.majors = top.folders.compactMap { Int($0.dropFirst(request.path.count + 1).dropLast()) }.sorted()
        guard let major = request.major else { return result }
        let prefix = "\(request.path)/\(major)/"
        try await readBackups(prefix, &result)
        try await readObjects(prefix, storeTime: top.date, &result)
        return result
    }

    private func pages(
        prefix: String, delimiter: String
    ) async throws -> (objects: [ListedObject], folders: [String], date: Timestamp?) {
        var page = try await store.list(prefix: prefix, delimiter: delimiter)
        var objects = page.objects
        var folders = page.folders
        let date = page.date
        while let next = page.nextContinuation {
            page = try await store.list(prefix: prefix, delimiter: delimiter, continuation: next)
            objects += page.objects
            folders += page.folders
        }
        return (objects, folders, date)
    }

    // MARK: Base backups

    private func readBackups(_ prefix: String, _ result: inout ScanResult) async throws {
        let folder = prefix + WalgLayout.backups
        let listed = try await pages(prefix: folder, delimiter: "/").objects
        let sentinels = listed.compactMap { object in
            WalgLayout.backupName(ofSentinel: object.key.dropFirst(folder.count)).map { ($0, object) }
        }
        result.backupsTotal = sentinels.count
        let names = Set(sentinels.map(\.0))
        // WAL-G's LATEST is the sentinel that was written last, whatever its name says.
        let newest = sentinels.sorted { ($0.1.lastModified, $0.0) > ($1.1.lastModified, $1.0) }
        for (name, object) in newest.prefix(Self.backupLimit) {
            guard let sentinel = try await store.read(object.key, limit: 8 << 20) else { continue }
            let metadata = try await store.read("\(folder)\(name)/metadata.json", limit: 1 << 20)
            var backup = ScannedBackup(
                name: name, lastModified: object.lastModified, sentinel: sentinel, metadata: metadata)
            if backup.problem == nil { backup.problem = try await problem(of: backup, folder, names) }
            result.backups.append(backup)
        }
    }

    private func problem(of backup: ScannedBackup, _ folder: String, _ names: Set<String>) async throws -> String? {
        let parts = try await store.list(prefix: "\(folder)\(backup.name)/tar_partitions/").objects.map(\.key)
        if parts.isEmpty { return "it has no tar_partitions" }
        if !parts.contains(where: { $0.contains("/pg_control.tar") }) {
            return "its tar_partitions lack pg_control, which is written last"
        }
        // `base_<start>_D_<start of its parent>`: the parent's own name begins with that.
        guard backup.isDelta, let marker = backup.name.firstRange(of: "_D_") else { return nil }
        let parent = "base_\(backup.name[marker.upperBound...].prefix(24))"
        return names.contains { $0.hasPrefix(parent) } ? nil : "the backup it builds on (\(parent)) is gone"
    }

    // MARK: Everything below the archive

    private func readObjects(_ prefix: String, storeTime: Timestamp?, _ result: inout ScanResult) async throws {
        // Whole seconds: what was written in the second of the listing itself may be seen or not, so it is left out.
        let cut = request.comparing?.at ?? storeTime?.wholeSecond.adding(seconds: -2)
        var fingerprint = RunningFingerprint(cut: cut)
        var newest: [String: String] = [:]
        var histories: [(Int64, ListedObject)] = []
        var continuation: String?
        repeat {
            let page = try await store.list(prefix: prefix, continuation: continuation)
            for object in page.objects {
                result.objects += 1
                fingerprint.add(object)
                let key = object.key.dropFirst(prefix.count)
                guard key.hasPrefix(WalgLayout.wal) else { continue }
                switch WalgLayout.walFile(key.dropFirst(WalgLayout.wal.count)) {
                case .segment(let name):
                    newest[String(name.prefix(8))] = max(newest[String(name.prefix(8))] ?? "", name)
                case .history(let timeline): histories.append((timeline, object))
                case nil: break
                }
            }
            continuation = page.nextContinuation
        } while continuation != nil
        result.newestSegments = newest.values.sorted()
        try await readHistories(histories, &result)
        if let cut { result.fingerprint = fingerprint.finished(at: cut) }
        if let earlier = request.comparing {
            let now = fingerprint.finished(at: earlier.at)
            result.comparison = FingerprintComparison(
                unchanged: now.keys == earlier.keys && now.digest == earlier.digest, keys: now.keys,
                newHistories: histories.filter { $0.1.lastModified > earlier.at }.map { $0.1.key }.sorted())
        }
    }

    private func readHistories(_ histories: [(Int64, ListedObject)], _ result: inout ScanResult) async throws {
        for (timeline, object) in histories.sorted(by: { $0.0 < $1.0 }).prefix(100) {
            let bytes = try await store.read(object.key, limit: HistoryFile.limit)
            let parent = bytes.flatMap(HistoryFile.parent)
            result.timelines.append(
                ScannedTimeline(timeline: timeline, parent: parent?.timeline, switchLSN: parent?.switchLSN))
        }
    }
}

/// SHA-256 over every object up to a moment, chained object by object, so that a listing of any length takes no memory.
struct RunningFingerprint {
    let cut: Timestamp?
    private var keys: Int64 = 0
    private var digest: [UInt8] = []

    init(cut: Timestamp?) { self.cut = cut }

    mutating func add(_ object: ListedObject) {
        guard let cut, object.lastModified <= cut else { return }
        keys += 1
        digest = Digest.sha256(digest + Array("\(object.key)\n\(object.etag)\n\(object.size)\n".utf8))
    }

    func finished(at moment: Timestamp) -> SourceFingerprint {
        SourceFingerprint(keys: keys, digest: Digest.hex(digest), at: moment)
    }
}
