// SPDX-License-Identifier: Apache-2.0

import ObjectStore
import Resources

/// How many requests are on their way at once.
package let requestsAtOnce = 8

/// Does some work for each item, a few at a time and beginning with the first.
/// - Returns: the results, in the order of the items.
/// - Throws: the first failure; what was still under way is cancelled.
func inParallel<Item: Sendable, Result: Sendable>(
    _ items: [Item], _ work: @escaping @Sendable (Item) async throws -> Result
) async throws -> [Result] {
    var results = [Result?](repeating: nil, count: items.count)
    try await withThrowingTaskGroup(of: (Int, Result).self) { group in
        var next = 0
        while next < items.count || !group.isEmpty {
            while next < min(items.count, requestsAtOnce) {
                group.addTask { [index = next, item = items[next]] in (index, try await work(item)) }
                next += 1
            }
            guard let (index, result) = try await group.next() else { break }
            results[index] = result
            if next < items.count {
                group.addTask { [index = next, item = items[next]] in (index, try await work(item)) }
                next += 1
            }
        }
    }
    return results.compactMap { $0 }
}

extension ObjectStore {
    /// A folder with what lies directly in it, all pages together.
    struct Folder {
        var objects: [ListedObject] = []
        /// With their trailing slash.
        var folders: [String] = []
        /// The store's clock at the first page.
        var date: Timestamp?
    }

    /// - Throws: `ObjectStoreError`.
    func folder(_ prefix: String) async throws -> Folder {
        var folder = Folder()
        var continuation: String?
        repeat {
            let page = try await list(prefix: prefix, delimiter: "/", continuation: continuation)
            folder.objects += page.objects
            folder.folders += page.folders
            folder.date = folder.date ?? page.date
            continuation = page.nextContinuation
        } while continuation != nil
        return folder
    }
}
