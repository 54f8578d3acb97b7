// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// What `agent scan --repository` finds in the model's stores.
struct ModelRepositoryScan {
    private let kubelet: ModelKubelet

    init(_ kubelet: ModelKubelet) { self.kubelet = kubelet }

    /// - Returns: The result that the program leaves; its `code` is the one of the termination message.
    func result(of process: ModelKubelet.Process) -> RepositoryScanResult {
        func option(_ name: String) -> String? {
            process.arguments.firstIndex(of: name).flatMap {
                $0 + 1 < process.arguments.count ? process.arguments[$0 + 1] : nil
            }
        }
        let bucket = option("--bucket") ?? ""
        var result = RepositoryScanResult(attempt: process.environment["REPRISE_ATTEMPT_TOKEN"] ?? "", code: "OK")
        if let refusal = kubelet.stores.refusal(process.environment, bucket: bucket, writing: false) {
            result.code = refusal
            result.message = "the store said no"
            return result
        }
        let prefix = [bucket, option("--prefix") ?? ""].filter { !$0.isEmpty }.joined(separator: "/") + "/"
        let found = kubelet.stores.archives.keys.filter { $0.hasPrefix(prefix) }.sorted()
            .compactMap { kubelet.stores.listing($0) }
        let known = option("--known") == nil ? [] : known(process)
        result.isFull = process.arguments.contains("--full")
        result.archivesTotal = found.count
        result.archives = found.prefix(option("--max-archives").flatMap { Int($0) } ?? 100).map { listing in
            let isKnown = known.contains { says($0, theSameAs: listing) }
            return ScannedArchive(path: listing.path, major: listing.major, listing: isKnown ? nil : listing)
        }
        result.objects = found.reduce(0) { $0 + $1.objects }
        result.seconds = kubelet.jobDelay / 1_000
        return result
    }

    /// Everything but when it was made, and how many objects that took.
    private func says(_ one: ArchiveListing, theSameAs other: ArchiveListing) -> Bool {
        var one = one
        one.seenAt = other.seenAt
        one.objects = other.objects
        return one == other
    }

    /// The listings in the ConfigMaps that the pod mounts; those that are not there, or can't be read, are left out.
    private func known(_ process: ModelKubelet.Process) -> [ArchiveListing] {
        let volumes = kubelet.api[process.key]?.items("spec", "volumes") ?? []
        return volumes.flatMap { $0.items("projected", "sources") }.compactMap { source in
            let name = source.text("configMap", "name") ?? ""
            let text = kubelet.api[ModelKey(.configMaps, process.key.namespace, name)]?.text("data", "archive.json")
            return text.flatMap { try? JSON.decode(ArchiveListing.self, from: Array($0.utf8)) }
        }
    }
}
