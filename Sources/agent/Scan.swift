// SPDX-License-Identifier: Apache-2.0

import Catalog
package import ObjectStore
package import Resources
package import Seams

/// Looks at one archive in a bucket, for a run, and tells what is there.
package struct Scan {
    let store: ObjectStore
    let time: any Timekeeper
    let request: ScanRequest
    let attempt: String

    /// - Parameter attempt: the token that the result carries.
    package init(store: ObjectStore, time: any Timekeeper, request: ScanRequest, attempt: String) {
        self.store = store
        self.time = time
        self.request = request
        self.attempt = attempt
    }

    /// - Returns: always a result: what went wrong is its code.
    package func run() async -> ScanResult {
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
        let top = try await store.folder("\(request.path)/")
        let names = top.folders.map { $0.dropFirst(request.path.count + 1) }
        result.majors = names.compactMap { RepositoryFolders.major($0.dropLast()) }.sorted()
        result.lacksVersion = names.contains { $0 == WalgLayout.backups || $0 == WalgLayout.wal }
        guard let major = request.major else { return result }
        let reader = ArchiveReader(store: store, path: request.path, major: major)
        var listing = ArchiveListing(path: request.path, major: major, seenAt: top.date ?? time.now)
        let base = try await BackupFolder(store, archive: reader.prefix).read()
        (listing.backups, listing.backupsTotal) = (base.backups, base.total)
        listing.segmentSize = segmentSize(of: base.backups)
        var tally = WalTally(listing.geometry, backups: base.backups)
        try await readObjects(reader.prefix, storeTime: top.date, &tally, &result)
        try await reader.finish(&listing, tally)
        listing.objects = result.objects
        result.listing = listing
        return result
    }

    /// One pass over everything below the archive: for the fingerprint, and for its log.
    private func readObjects(
        _ prefix: String, storeTime: Timestamp?, _ tally: inout WalTally, _ result: inout ScanResult
    ) async throws {
        // Whole seconds: what was written in the second of the listing itself may be seen or not, so it is left out.
        let cut = request.comparing?.at ?? storeTime?.wholeSecond.adding(seconds: -2)
        var fingerprint = RunningFingerprint(cut: cut)
        var continuation: String?
        repeat {
            let page = try await store.list(prefix: prefix, continuation: continuation)
            for object in page.objects {
                result.objects += 1
                fingerprint.add(object)
                let key = object.key.dropFirst(prefix.count)
                if key.hasPrefix(WalgLayout.wal) { try tally.add(object, key.dropFirst(WalgLayout.wal.count)) }
            }
            continuation = page.nextContinuation
        } while continuation != nil
        if let cut { result.fingerprint = fingerprint.finished(at: cut) }
        if let earlier = request.comparing {
            let now = fingerprint.finished(at: earlier.at)
            result.comparison = FingerprintComparison(
                unchanged: now.keys == earlier.keys && now.digest == earlier.digest, keys: now.keys,
                newHistories: tally.histories.values.filter { $0.lastModified > earlier.at }.map(\.key).sorted())
        }
    }
}
