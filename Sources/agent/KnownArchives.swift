// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
package import Resources

/// What the last scan found, as it is mounted: a folder of files `<name>.json`, each an `ArchiveListing`.
package enum KnownArchives {
    /// Larger than any ConfigMap.
    static let fileLimit = 2 << 20

    /// Never fails: an archive whose file is missing or can't be read is an unknown one, and is listed anew.
    package static func read(_ folder: String?) -> [RepositoryFolders.Archive: ArchiveListing] {
        guard let folder, let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else { return [:] }
        var known: [RepositoryFolders.Archive: ArchiveListing] = [:]
        // A mounted ConfigMap also has folders of its own, whose names begin with a dot.
        for name in names.sorted() where name.hasSuffix(".json") && !name.hasPrefix(".") {
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)"), data.count <= fileLimit,
                let listing = try? JSON.decode(ArchiveListing.self, from: [UInt8](data)), listing.v == 1
            else { continue }
            known[.init(path: listing.path, major: listing.major)] = listing
        }
        return known
    }
}
