// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources

/// All objects of a kind at one moment.
package struct ListResult<R: Resource>: Equatable, Sendable {
    package var items: [R]
    /// Objects that exist but can't be read as an `R`. Never to be taken for absent.
    package var undecodable: [UndecodableObject]
    /// The moment; a watch from here misses nothing.
    package var resourceVersion: String

    package init(items: [R], undecodable: [UndecodableObject] = [], resourceVersion: String) {
        self.items = items
        self.undecodable = undecodable
        self.resourceVersion = resourceVersion
    }
}

/// An object that exists but can't be read as its kind: told apart, so that it stops nobody else's work.
package struct UndecodableObject: Error, Hashable, Sendable {
    /// The name is empty when not even the metadata could be read.
    package var ref: Ref
    package var uid: String
    package var resourceVersion: String
    /// Where it fails. Names places and types, never values.
    package var message: String

    package init(ref: Ref, uid: String, resourceVersion: String, message: String) {
        self.ref = ref
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.message = cleaned(message, 512)
    }
}

/// One object of a list or a watch event, or what can be told about it when it does not decode.
struct LenientItem<R: Resource>: Decodable {
    var result: Result<R, UndecodableObject>

    init(from decoder: any Decoder) throws {
        do {
            result = .success(try R(from: decoder))
        } catch {
            let identity = try? Identity(from: decoder)
            let ref = Ref(R.resourceKind, identity?.namespace ?? "", identity?.name ?? "")
            result = .failure(
                UndecodableObject(
                    ref: ref, uid: identity?.uid ?? "", resourceVersion: identity?.resourceVersion ?? "",
                    message: explanation(of: error)))
        }
    }
}

/// The identifying part of an object's metadata, each field for itself.
struct Identity: Decodable {
    var name: String?
    var namespace: String?
    var uid: String?
    var resourceVersion: String?

    private enum Keys: String, CodingKey { case metadata }
    private enum MetadataKeys: String, CodingKey { case name, namespace, uid, resourceVersion }

    init(from decoder: any Decoder) throws {
        let metadata = try decoder.container(keyedBy: Keys.self)
            .nestedContainer(keyedBy: MetadataKeys.self, forKey: .metadata)
        name = try? metadata.decode(String.self, forKey: .name)
        namespace = try? metadata.decode(String.self, forKey: .namespace)
        uid = try? metadata.decode(String.self, forKey: .uid)
        resourceVersion = try? metadata.decode(String.self, forKey: .resourceVersion)
    }
}

/// One page of a list.
struct Page<R: Resource>: Decodable {
    var metadata: Metadata
    var items: [LenientItem<R>]?

    struct Metadata: Decodable {
        var resourceVersion: String?
        var `continue`: String?
    }

    /// Adds the page to a result. Why an item does not decode is found out in a second pass over the page's text.
    func append(to result: inout ListResult<R>, explainedBy body: [UInt8]) {
        var broken: [(index: Int, object: UndecodableObject)] = []
        for (index, item) in (items ?? []).enumerated() {
            switch item.result {
            case .success(let object): result.items.append(object)
            case .failure(let object): broken.append((index, object))
            }
        }
        if broken.isEmpty { return }
        let explained = (try? JSON.decodeItems(Head.self, R.self, from: body))?.items ?? []
        for (index, var object) in broken {
            if index < explained.count, case .failure(let failure) = explained[index] {
                object.message = cleaned(failure.error.description, 512)
            }
            result.undecodable.append(object)
        }
    }

    private struct Head: Decodable {}
}

/// Why something did not decode, without any value in it.
func explanation(of error: any Error) -> String {
    if let error = error as? JSONError { return error.description }
    guard let error = error as? DecodingError else { return "\(type(of: error))" }
    switch error {
    case .keyNotFound(let key, let context): return "\(path(context.codingPath + [key])) is missing"
    case .valueNotFound(let type, let context): return "\(path(context.codingPath)): \(type) expected, null found"
    case .typeMismatch(let type, let context): return "\(path(context.codingPath)): \(type) expected"
    case .dataCorrupted(let context): return "\(path(context.codingPath)) has a value that its type refuses"
    @unknown default: return "does not decode"
    }
}

private func path(_ keys: [any CodingKey]) -> String {
    keys.isEmpty ? "the object" : keys.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
}
