// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources
package import Seams

/// Requests to the API server as values. Every name is checked before it becomes part of a path.
///
/// All of them throw `APIError` with code `invalidRequest`: a name that is none, or a `Seen` without uid or
/// resourceVersion, whose precondition would silently hold for everything.
package enum APIRequest {
    /// A quorum read.
    package static func get(_ ref: Ref) throws(APIError) -> HTTPRequest {
        HTTPRequest(.get, try RequestTarget(ref).text, headers: headers)
    }

    /// A consistent list: no resourceVersion, which never goes back in time.
    /// - Parameters:
    ///   - namespace: `nil` for all namespaces, and for cluster-scoped kinds.
    ///   - name: Only the object of this name.
    ///   - limit: The most items in the answer; `nil` for all at once.
    ///   - continuation: From the page before.
    package static func list(
        _ kind: ResourceKind, namespace: String?, name: String? = nil, selector: String? = nil, limit: Int? = nil,
        continuation: String? = nil
    ) throws(APIError) -> HTTPRequest {
        var target = try RequestTarget(kind, namespace: namespace)
        target.add("fieldSelector", try nameSelector(kind, namespace, name))
        target.add("labelSelector", selector)
        target.add("limit", limit.map { String($0) })
        target.add("continue", continuation)
        return HTTPRequest(.get, target.text, headers: headers)
    }

    /// The first page of the Events about one incarnation of an object.
    package static func events(
        about uid: String, namespace: String, limit: Int
    ) throws(APIError) -> HTTPRequest {
        // In a field selector `,`, `=` and `\` would be read as its own.
        guard !uid.isEmpty, uid.utf8.allSatisfy({ UInt8(ascii: "-") == $0 || isAlphanumeric($0) }) else {
            throw APIError(.invalidRequest, "Events are asked for by the UID of an object")
        }
        var target = try RequestTarget(eventKind, namespace: namespace)
        target.add("fieldSelector", "involvedObject.uid=\(uid)")
        target.add("limit", String(limit))
        return HTTPRequest(.get, target.text, headers: headers)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    /// A watch from just after `resourceVersion`, with bookmarks.
    /// - Parameters:
    ///   - name: Only the object of this name.
    ///   - serverTimeout: After how many seconds the server ends it.
    ///   - idleTimeout: How long it may stay silent: longer than the server's time, for an older server sends no
    ///     bookmark before the end of a watch on which nothing happens.
    package static func watch(
        _ kind: ResourceKind, namespace: String?, name: String? = nil, selector: String? = nil,
        from resourceVersion: String, serverTimeout: Int, idleTimeout: Milliseconds?
    ) throws(APIError) -> HTTPRequest {
        // Unset or "0" would be served from any point in time, and begin with synthetic ADDED events.
        guard !resourceVersion.isEmpty, resourceVersion != "0" else {
            throw APIError(.invalidRequest, "a watch needs the resourceVersion of a list")
        }
        var target = try RequestTarget(kind, namespace: namespace)
        target.add("watch", "true")
        target.add("allowWatchBookmarks", "true")
        target.add("resourceVersion", resourceVersion)
        target.add("fieldSelector", try nameSelector(kind, namespace, name))
        target.add("labelSelector", selector)
        target.add("timeoutSeconds", String(serverTimeout))
        return HTTPRequest(.get, target.text, headers: headers, idleTimeout: idleTimeout)
    }

    package static func create(_ manifest: some Manifest) throws(APIError) -> HTTPRequest {
        // The target of a create is the collection; the name stands in the body. It is checked all the same.
        _ = try RequestTarget(manifest.ref)
        let namespace = manifest.metadata.namespace
        var target = try RequestTarget(type(of: manifest).resourceKind, namespace: namespace.isEmpty ? nil : namespace)
        target.add("fieldManager", fieldManager)
        return HTTPRequest(
            .post, target.text, headers: headers + [contentType], body: try encoded(TypedManifest(manifest)))
    }

    /// Replaces the whole status of the incarnation that was read, and nothing else of it.
    package static func replaceStatus(
        of seen: Seen, with status: some Encodable & Sendable
    ) throws(APIError) -> HTTPRequest {
        let body = ObjectBody(
            apiVersion: seen.ref.kind.apiVersion, kind: seen.ref.kind.kind, metadata: try ObjectMark(seen),
            status: status)
        return try put(body, to: seen.ref, subresource: "status")
    }

    /// A patch, whose body carries its own precondition.
    /// - Parameter subresource: `status`, or `nil` for the object itself.
    package static func patch(_ ref: Ref, _ patch: Patch, subresource: String? = nil) throws(APIError) -> HTTPRequest {
        var target = try RequestTarget(ref, subresource: subresource)
        target.add("fieldManager", fieldManager)
        let type = HTTPHeader("Content-Type", patch.format.rawValue)
        return HTTPRequest(.patch, target.text, headers: headers + [type], body: patch.body)
    }

    /// Deletes the incarnation that was read, if it still is as it was read.
    package static func delete(_ seen: Seen, propagation: Propagation) throws(APIError) -> HTTPRequest {
        let mark = try ObjectMark(seen)
        let body = DeleteBody(
            preconditions: DeleteBody.Preconditions(uid: mark.uid, resourceVersion: mark.resourceVersion),
            propagationPolicy: propagation.rawValue)
        return HTTPRequest(
            .delete, try RequestTarget(seen.ref).text, headers: headers + [contentType], body: try encoded(body))
    }

    package static func log(_ pod: Ref, _ options: LogOptions) throws(APIError) -> HTTPRequest {
        var target = try RequestTarget(pod, subresource: "log")
        target.add("container", options.container)
        target.add("limitBytes", String(max(1, options.limitBytes)))
        target.add("tailLines", options.tailLines.map { String($0) })
        target.add("timestamps", options.timestamps ? "true" : nil)
        target.add("previous", options.previous ? "true" : nil)
        return HTTPRequest(.get, target.text, headers: logHeaders)
    }

    /// A container's log as it grows, from its beginning or from a moment on, each line with its time.
    /// - Parameters:
    ///   - since: RFC 3339; the lines of that very moment come too, and servers may cut it down to the whole second.
    ///   - idleTimeout: How long it may stay silent. Nothing comes while the container says nothing.
    package static func follow(
        _ pod: Ref, container: String, since: String?, idleTimeout: Milliseconds?
    ) throws(APIError) -> HTTPRequest {
        var target = try RequestTarget(pod, subresource: "log")
        target.add("container", container)
        target.add("follow", "true")
        target.add("timestamps", "true")
        target.add("sinceTime", since)
        return HTTPRequest(.get, target.text, headers: logHeaders, idleTimeout: idleTimeout)
    }

    static let fieldManager = "reprise"
    private static let userAgent = HTTPHeader("User-Agent", "reprise")
    private static let contentType = HTTPHeader("Content-Type", "application/json")
    private static let headers = [HTTPHeader("Accept", "application/json"), userAgent]
    /// A log is text; an error about it is JSON.
    private static let logHeaders = [HTTPHeader("Accept", "application/json, */*"), userAgent]

    /// The field selector of one name, which is checked as one in a path is.
    private static func nameSelector(
        _ kind: ResourceKind, _ namespace: String?, _ name: String?
    ) throws(APIError) -> String? {
        guard let name else { return nil }
        _ = try RequestTarget(Ref(kind, namespace ?? "", name))
        return "metadata.name=\(name)"
    }

    private static func put(_ body: some Encodable, to ref: Ref, subresource: String) throws(APIError) -> HTTPRequest {
        var target = try RequestTarget(ref, subresource: subresource)
        target.add("fieldManager", fieldManager)
        return HTTPRequest(.put, target.text, headers: headers + [contentType], body: try encoded(body))
    }
}

/// What becomes of an object's dependents when it is deleted. Always said: a Job's default is to orphan its pods.
package enum Propagation: String, Hashable, Sendable {
    case background = "Background"
    case foreground = "Foreground"
    case orphan = "Orphan"
}

/// Which part of which log.
package struct LogOptions: Hashable, Sendable {
    package var container: String
    /// The most bytes of the answer, counted from its beginning.
    package var limitBytes: Int
    package var tailLines: Int?
    package var timestamps: Bool
    /// The container's previous run.
    package var previous: Bool

    package init(
        container: String, limitBytes: Int, tailLines: Int? = nil, timestamps: Bool = false, previous: Bool = false
    ) {
        self.container = container
        self.limitBytes = limitBytes
        self.tailLines = tailLines
        self.timestamps = timestamps
        self.previous = previous
    }
}
