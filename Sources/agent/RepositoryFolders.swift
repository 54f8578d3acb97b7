// SPDX-License-Identifier: Apache-2.0

import Catalog
import ObjectStore

/// Finds the archives below a prefix, by looking at folders only.
///
/// An archive is a folder with `<major>/basebackups_005/` or `<major>/wal_005/` in it. Folders are looked at level by
/// level, so that what lies near the top is found whatever else is there.
package struct RepositoryFolders {
    /// Folders more than this below the prefix are not looked into.
    static let depthLimit = 6
    /// As many folders as are looked into.
    static let folderLimit = 2_000
    /// Pages of one folder's listing: a folder with so many objects directly in it is no place for archives.
    static let pageLimit = 20
    static let unversionedLimit = 10

    /// Where an archive lies, and of which major version it is.
    package struct Archive: Hashable, Comparable, Sendable {
        package var path: String
        package var major: Int

        package init(path: String, major: Int) {
            self.path = path
            self.major = major
        }

        package static func < (left: Archive, right: Archive) -> Bool {
            (left.path, left.major) < (right.path, right.major)
        }
    }

    private(set) var archives: [Archive] = []
    /// Paths of archives without a major version.
    private(set) var unversioned: [String] = []
    /// Why something may have been missed, if so.
    private(set) var remark: String?
    /// Objects that were listed on the way.
    private(set) var objects: Int64 = 0

    /// - Parameter prefix: without slashes at either end; empty for the whole bucket.
    /// - Throws: `ObjectStoreError`.
    init(_ store: ObjectStore, below prefix: String) async throws {
        var level = [prefix.isEmpty ? "" : "\(prefix)/"]
        var room = Self.folderLimit
        for depth in 0...Self.depthLimit where !level.isEmpty {
            if level.count > room {
                remark = "there are more than \(Self.folderLimit) folders; not all were looked into"
                level = Array(level.prefix(room))
            }
            room -= level.count
            var below: [String] = []
            // A few at a time, and no more of their folders than will be looked into: a bucket may have millions.
            for start in stride(from: 0, to: level.count, by: requestsAtOnce) {
                let some = Array(level[start..<min(start + requestsAtOnce, level.count)])
                let seen = try await inParallel(some) { try await Self.look(store, $0) }
                for (folder, content) in zip(some, seen) { below += take(folder, content) }
                below = Array(below.prefix(room + 1))
            }
            if depth == Self.depthLimit, !below.isEmpty {
                remark =
                    remark ?? "there are folders more than \(Self.depthLimit) levels deep; they were not looked into"
            }
            level = below.sorted()
        }
        archives.sort()
        unversioned = Array(unversioned.sorted().prefix(Self.unversionedLimit))
    }

    private struct Content: Sendable {
        var folders: [String] = []
        var objects: Int64 = 0
        var isCut = false
    }

    private static func look(_ store: ObjectStore, _ folder: String) async throws -> Content {
        var content = Content()
        var continuation: String?
        for _ in 0..<pageLimit {
            let page = try await store.list(prefix: folder, delimiter: "/", continuation: continuation)
            content.folders += page.folders
            content.objects += Int64(page.objects.count)
            continuation = page.nextContinuation
            if continuation == nil || content.folders.count > folderLimit { break }
        }
        content.isCut = continuation != nil
        return content
    }

    /// - Returns: the folders in it to look into.
    private mutating func take(_ folder: String, _ content: Content) -> [String] {
        objects += content.objects
        if content.isCut { remark = remark ?? "\(folder) has too much in it; not all of it was looked at" }
        let inside = content.folders.filter { name in
            [WalgLayout.backups, WalgLayout.wal].contains { name == folder + $0 }
        }
        guard !inside.isEmpty else { return content.folders }
        let parts = folder.dropLast().split(separator: "/", omittingEmptySubsequences: false)
        if parts.count > 1, let major = parts.last.flatMap(Self.major) {
            archives.append(Archive(path: parts.dropLast().joined(separator: "/"), major: major))
            return []
        }
        unversioned.append(String(folder.dropLast()))
        return content.folders.filter { !inside.contains($0) }
    }

    /// A folder's name as a major version.
    static func major(_ name: Substring) -> Int? {
        guard let major = Int(name), (1...999).contains(major), "\(major)" == name else { return nil }
        return major
    }
}
