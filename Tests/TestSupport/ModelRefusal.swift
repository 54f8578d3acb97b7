// SPDX-License-Identifier: Apache-2.0

package import JSON
package import Seams

/// Refusals, as the real server words them.
package struct ModelRefusal: Error, Sendable {
    package var code: Int
    package var reason: String
    package var message: String
    package var details: JSONValue?
    /// Not a `Status`: the router's own words.
    private var isText = false

    package init(code: Int, reason: String, message: String, details: JSONValue?) {
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
    }

    package var body: JSONValue {
        var status: JSONValue = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
            "reason": .string(reason), "code": .integer(Int64(code)),
        ]
        if reason.isEmpty { status.set(["reason"], nil) }
        if let details { status.set(["details"], details) }
        return status
    }

    package var response: HTTPResponse {
        HTTPResponse(
            status: code, headers: [HTTPHeader("Content-Type", isText ? "text/plain" : "application/json")],
            body: isText ? Array("\(message)\n".utf8) : body.bytes)
    }

    static func notFound(_ key: ModelKey) -> ModelRefusal {
        about(key, 404, "NotFound", "\(key.kind.resource) \"\(key.name)\" not found")
    }

    static func alreadyExists(_ key: ModelKey) -> ModelRefusal {
        about(key, 409, "AlreadyExists", "\(key.kind.resource) \"\(key.name)\" already exists")
    }

    static func conflict(_ key: ModelKey) -> ModelRefusal {
        about(
            key, 409, "Conflict",
            "Operation cannot be fulfilled on \(key.kind.resource) \"\(key.name)\": the object has been modified; "
                + "please apply your changes to the latest version and try again")
    }

    /// A DELETE's precondition, which names the kind where others name the resource.
    static func deletePrecondition(_ key: ModelKey, _ what: String, _ expected: String, _ found: String) -> ModelRefusal
    {
        var refusal = precondition(key, what, expected, found)
        refusal.message =
            "Operation cannot be fulfilled on \(key.kind.kind) \"\(key.name)\": the \(what) in the precondition "
            + "(\(expected)) does not match the \(what) in record (\(found)). The object might have been deleted and then "
            + "recreated"
        refusal.details?.set(["kind"], .string(key.kind.kind))
        return refusal
    }

    /// A patch of a scale with the uid of another object.
    static func scalePrecondition(_ key: ModelKey, _ expected: String, _ found: String) -> ModelRefusal {
        var refusal = precondition(key, "UID", expected, found)
        refusal.details?.set(["kind"], .string("\(key.kind.plural)/scale"))
        return refusal
    }

    static func precondition(_ key: ModelKey, _ what: String, _ expected: String, _ found: String) -> ModelRefusal {
        about(
            key, 409, "Conflict",
            "Operation cannot be fulfilled on \(key.kind.resource) \"\(key.name)\": Precondition failed: \(what) in "
                + "precondition: \(expected), \(what) in object meta: \(found)")
    }

    static func invalid(_ key: ModelKey, _ fields: [String]) -> ModelRefusal {
        invalid(kind: key.kind.kind, group: key.kind.group, key.name, fields)
    }

    /// Of a custom object, when the resource stands where the kind should.
    static func invalidResource(_ key: ModelKey, _ fields: [String]) -> ModelRefusal {
        invalid(kind: key.kind.plural, group: key.kind.group, key.name, fields)
    }

    /// A body that says it is of another kind.
    static func invalidType(_ kind: String, group: String, _ name: String, _ fields: [String]) -> ModelRefusal {
        invalid(kind: kind, group: group, name, fields)
    }

    static func invalidScale(_ key: ModelKey, _ field: String = "spec.replicas") -> ModelRefusal {
        invalid(kind: "Scale", group: "autoscaling", key.name, [field])
    }

    static func invalidOptions(_ field: String) -> ModelRefusal {
        invalid(kind: "DeleteOptions", group: "meta.k8s.io", "", [field])
    }

    /// The server's type can't hold what a patch makes of the object.
    static let undecodablePatch = invalid(kind: "", group: "", "", ["patch"])

    private static func invalid(kind: String, group: String, _ name: String, _ fields: [String]) -> ModelRefusal {
        let type = group.isEmpty ? kind : "\(kind).\(group)"
        var refusal = ModelRefusal(
            code: 422, reason: "Invalid",
            message: "\(type) \"\(name)\" is invalid: \(fields.map { "\($0): Invalid value" }.joined(separator: ", "))",
            details: [:])
        refusal.details?.set(["name"], name.isEmpty ? nil : .string(name))
        refusal.details?.set(["group"], group.isEmpty ? nil : .string(group))
        refusal.details?.set(["kind"], kind.isEmpty ? nil : .string(kind))
        let causes = fields.map { field -> JSONValue in
            ["reason": "FieldValueInvalid", "message": "Invalid value", "field": .string(field)]
        }
        refusal.details?.set(["causes"], .array(causes))
        return refusal
    }

    package static let unknownPath: ModelRefusal = {
        var refusal = ModelRefusal(code: 404, reason: "NotFound", message: "404 page not found", details: nil)
        refusal.isText = true
        return refusal
    }()

    /// A subresource that the object has not.
    static let unknownSubresource = ModelRefusal(
        code: 404, reason: "NotFound", message: "the server could not find the requested resource", details: [:])

    /// What a 1.20 server has no reason for.
    static func unexplained(_ message: String) -> ModelRefusal {
        ModelRefusal(code: 500, reason: "", message: message, details: nil)
    }

    static let methodNotAllowed = ModelRefusal(
        code: 405, reason: "MethodNotAllowed",
        message: "the server does not allow this method on the requested resource", details: [:])

    static let unsupportedMediaType = ModelRefusal(
        code: 415, reason: "UnsupportedMediaType", message: "the body of the request was in an unknown format",
        details: [:])

    /// A JSON patch whose test fails, or whose path leads nowhere.
    static let unapplicable = ModelRefusal(
        code: 422, reason: "Invalid", message: "the server rejected our request due to an error in our request",
        details: [:])

    /// With `generateName` the server believes that it has made the name up itself.
    static func generatedNameTaken(_ key: ModelKey) -> ModelRefusal {
        var refusal = about(
            key, 500, "ServerTimeout", "The POST operation against \(key.kind.kind) could not be completed at this time"
        )
        refusal.details?.set(["name"], "POST")
        refusal.details?.set(["kind"], .string(key.kind.kind))
        refusal.details?.set(["retryAfterSeconds"], 1)
        return refusal
    }

    static let wrongNamespace = bad(
        "the namespace of the provided object does not match the namespace sent on the request")

    static func badVersion(_ version: String) -> ModelRefusal {
        unexplained("resourceVersion: Invalid value: \"\(version)\"")
    }

    static let expiredPage = ModelRefusal(
        code: 410, reason: "Expired", message: "The provided continue parameter is too old", details: nil)

    static func terminating(_ key: ModelKey) -> ModelRefusal {
        var refusal = about(
            key, 403, "Forbidden",
            "\(key.kind.resource) \"\(key.name)\" is forbidden: unable to create new content in namespace "
                + "\(key.namespace) because it is being terminated")
        refusal.details?.set(
            ["causes"],
            .array([
                [
                    "reason": "NamespaceTerminating",
                    "message": .string("namespace \(key.namespace) is being terminated"), "field": "metadata.namespace",
                ]
            ]))
        return refusal
    }

    package static func bad(_ message: String) -> ModelRefusal {
        ModelRefusal(code: 400, reason: "BadRequest", message: message, details: nil)
    }

    private static func about(_ key: ModelKey, _ code: Int, _ reason: String, _ message: String) -> ModelRefusal {
        var details: JSONValue = ["name": .string(key.name)]
        if !key.kind.group.isEmpty { details.set(["group"], .string(key.kind.group)) }
        details.set(["kind"], .string(key.kind.plural))
        return ModelRefusal(code: code, reason: reason, message: message, details: details)
    }
}
