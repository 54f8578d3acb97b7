// SPDX-License-Identifier: Apache-2.0

import Digest
import ObjectStore
import Resources

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
