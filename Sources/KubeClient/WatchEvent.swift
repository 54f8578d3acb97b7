// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What happened to an object.
package enum WatchChange: String, Hashable, Sendable {
    case added = "ADDED"
    case modified = "MODIFIED"
    case deleted = "DELETED"
}

/// Which state of which object a watch tells of.
package struct ObjectVersion: Equatable, Sendable {
    package var namespace: String
    package var name: String
    package var uid: String
    package var resourceVersion: String

    package init(namespace: String, name: String, uid: String, resourceVersion: String) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.resourceVersion = resourceVersion
    }
}

/// One event of a watch.
package enum WatchEvent<R: Resource>: Equatable, Sendable {
    case added(R)
    case modified(R)
    /// The last state of an object that is gone, or that the watch's selector no longer matches.
    case deleted(R)
    /// Nothing happened up to here.
    case bookmark(resourceVersion: String)
    /// What happened to an object is known already.
    case known(resourceVersion: String)
    /// Something happened to an object that can't be read as an `R`; it has a name.
    case undecodable(UndecodableObject, change: WatchChange)

    /// Where a new watch goes on after this event. Empty when the server did not say.
    package var resourceVersion: String {
        switch self {
        case .added(let object), .modified(let object), .deleted(let object): object.metadata.resourceVersion ?? ""
        case .bookmark(let version), .known(let version): version
        case .undecodable(let object, _): object.resourceVersion
        }
    }
}

/// One line of a watch.
struct WatchLine<R: Resource>: Decodable {
    enum Content {
        case event(WatchEvent<R>)
        case failure(StatusBody)
    }

    var content: Content

    private enum Keys: String, CodingKey { case type, object }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        let type = try container.decode(String.self, forKey: .type)
        switch (type, WatchChange(rawValue: type)) {
        case (_, let change?):
            let item = try container.decode(LenientItem<R>.self, forKey: .object)
            content = .event(Self.event(change, item.result))
        case ("BOOKMARK", _):
            guard let version = try container.decode(Identity.self, forKey: .object).resourceVersion, !version.isEmpty
            else {
                throw DecodingError.dataCorruptedError(
                    forKey: .object, in: container, debugDescription: "a bookmark without a resourceVersion")
            }
            content = .event(.bookmark(resourceVersion: version))
        case ("ERROR", _):
            content = .failure(try container.decode(StatusBody.self, forKey: .object))
        case (_, nil):
            throw DecodingError.dataCorruptedError(
                forKey: .type, in: container, debugDescription: "not a known type of event")
        }
    }

    private static func event(_ change: WatchChange, _ result: Result<R, UndecodableObject>) -> WatchEvent<R> {
        switch (change, result) {
        case (.added, .success(let object)): .added(object)
        case (.modified, .success(let object)): .modified(object)
        case (.deleted, .success(let object)): .deleted(object)
        case (_, .failure(let broken)): .undecodable(broken, change: change)
        }
    }
}

/// The part of a line that tells what it is about.
struct WatchHead: Decodable {
    /// `nil` when the line does not tell of an object that is there, or not all of this.
    var version: ObjectVersion?

    private enum Keys: String, CodingKey { case type, object }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        guard ["ADDED", "MODIFIED"].contains(try container.decode(String.self, forKey: .type)) else { return }
        let identity = try container.decode(Identity.self, forKey: .object)
        guard let name = identity.name, let uid = identity.uid, let version = identity.resourceVersion else { return }
        self.version = ObjectVersion(
            namespace: identity.namespace ?? "", name: name, uid: uid, resourceVersion: version)
    }
}

/// A line of a watch that must decode in full.
struct StrictWatchLine<R: Resource>: Decodable {
    var object: R
}
