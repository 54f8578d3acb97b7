// SPDX-License-Identifier: Apache-2.0

import Resources

/// A resourceVersion. Officially opaque; every real API server counts upwards, so two whole numbers compare as such and
/// anything else only for equality.
struct Version: Hashable, Sendable {
    /// How one version stands to another.
    enum Order: Equatable, Sendable {
        case earlier, same, later
        /// They can't be compared.
        case unknown
    }

    var text: String
    private var number: UInt64?

    init(_ text: String) {
        self.text = text
        self.number = UInt64(text)
    }

    func order(to other: Version) -> Order {
        if text == other.text { return text.isEmpty ? .unknown : .same }
        guard let number, let theirs = other.number else { return .unknown }
        return number == theirs ? .same : number < theirs ? .earlier : .later
    }

    /// Surely not later than the other.
    func isAtMost(_ other: Version) -> Bool {
        switch order(to: other) {
        case .earlier, .same: true
        case .later, .unknown: false
        }
    }
}

/// Which incarnation of an object, in which version.
struct Stamp: Equatable, Sendable {
    var uid: String
    var version: Version

    init(uid: String, version: Version) {
        self.uid = uid
        self.version = version
    }

    init(_ object: any Resource) {
        self.init(uid: object.metadata.uid ?? "", version: Version(object.metadata.resourceVersion ?? ""))
    }
}
