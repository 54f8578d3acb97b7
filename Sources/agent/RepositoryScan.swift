// SPDX-License-Identifier: Apache-2.0

import Frames
import JSON
package import ObjectStore
package import Resources
package import Seams

/// Looks at every archive below a prefix of a bucket and tells what is new there.
package struct RepositoryScan {
    /// A result's room for listings, in bytes; the rest is for what else stands in it.
    static let listingRoom = ResultFrame.largestResult - (256 << 10)
    /// The most archives in one result.
    static let archiveLimit = 500

    let store: ObjectStore
    let time: any Timekeeper
    let request: ScanRequest
    let attempt: String
    /// What the last scan found.
    let known: [RepositoryFolders.Archive: ArchiveListing]

    /// - Parameters:
    ///   - attempt: the token that the result carries.
    ///   - known: what the last scan found; empty to list everything anew.
    package init(
        store: ObjectStore, time: any Timekeeper, request: ScanRequest, attempt: String,
        known: [RepositoryFolders.Archive: ArchiveListing]
    ) {
        self.store = store
        self.time = time
        self.request = request
        self.attempt = attempt
        self.known = known
    }

    /// - Returns: always a result: what went wrong is its code.
    package func run() async -> RepositoryScanResult {
        let start = time.uptime
        var result = RepositoryScanResult(attempt: attempt, code: "OK")
        do {
            let folders = try await RepositoryFolders(store, below: request.path)
            (result.unversioned, result.message, result.objects) = (
                folders.unversioned, folders.remark, folders.objects
            )
            result.archivesTotal = folders.archives.count
            await scan(folders.archives.prefix(min(request.maxArchives, Self.archiveLimit)), &result)
        } catch let error as ObjectStoreError {
            result = RepositoryScanResult(attempt: attempt, code: error.code.rawValue, message: error.message)
        } catch {
            result = RepositoryScanResult(attempt: attempt, code: "ScanFailed", message: "\(type(of: error))")
        }
        result.seconds = time.uptime.since(start) / 1_000
        return result
    }

    private func scan(_ archives: ArraySlice<RepositoryFolders.Archive>, _ result: inout RepositoryScanResult) async {
        result.isFull = true
        var room = Self.listingRoom
        var outages = 0
        var lastProblem = ""
        for archive in archives {
            var scanned = ScannedArchive(path: archive.path, major: archive.major)
            // Each attempt at a store that does not answer takes many seconds, and the next will not fare better.
            if outages >= 2 {
                scanned.problem = lastProblem
                result.isFull = false
                result.archives.append(scanned)
                continue
            }
            do {
                let reading = try await read(archive)
                outages = 0
                result.objects += reading.listed
                result.isFull = result.isFull && reading.isFull
                if known[archive].map(reading.listing.isSame) != true {
                    let bytes = try JSON.encode(reading.listing).count
                    if bytes <= room {
                        scanned.listing = reading.listing
                        room -= bytes
                    } else {
                        scanned.problem = "ResultTooLarge"
                    }
                }
            } catch let error as ObjectStoreError {
                outages = error.isPassing ? outages + 1 : 0
                lastProblem = "\(error.code.rawValue): \(error.message)"
                scanned.problem = lastProblem
            } catch {
                scanned.problem = "ScanFailed: \(type(of: error))"
            }
            // What was not listed was not listed anew: the next scan does that.
            if scanned.problem != nil, known[archive] != nil { result.isFull = false }
            result.archives.append(scanned)
        }
    }

    private func read(_ archive: RepositoryFolders.Archive) async throws -> ArchiveReader.Reading {
        let reader = ArchiveReader(store: store, path: archive.path, major: archive.major)
        return try await reader.read(known: request.isFull ? nil : known[archive], now: time.now)
    }
}
