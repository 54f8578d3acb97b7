// SPDX-License-Identifier: Apache-2.0

import Resources

// Where the new service runs and what it may use. Handed on to pods as it is: the API server checks it again there, so
// here it is only made sure that it is of a size that can be handed on.
extension Findings {
    mutating func quantities(_ map: [String: String]?, _ field: String) {
        guard let map, count(map.count, field, maximum: 16) else { return }
        for key in map.keys.sorted() {
            quantity(map[key], "\(field).\(Names.isQualifiedName(key) ? key : quoted(key))")
        }
    }

    mutating func scheduling(_ service: NewService, _ field: String) {
        if let selector = service.nodeSelector, count(selector.count, "\(field).nodeSelector", maximum: 16) {
            for key in selector.keys.sorted()
            where !Names.isQualifiedName(key) || !Names.isLabelValue(selector[key] ?? "") {
                add("\(field).nodeSelector", "has \(quoted(key)), which no label of a node can be: correct it")
            }
        }
        if let tolerations = service.tolerations, count(tolerations.count, "\(field).tolerations", maximum: 16) {
            for (index, toleration) in tolerations.enumerated() {
                let place = "\(field).tolerations[\(index)]"
                choice(toleration.operator, "\(place).operator", of: ["Exists", "Equal"])
                choice(toleration.effect, "\(place).effect", of: ["NoSchedule", "PreferNoSchedule", "NoExecute"])
                check(
                    toleration.key, "\(place).key", maximum: 317, form: "the key of a taint: correct it",
                    Names.isQualifiedName)
                if let value = toleration.value, !Names.isLabelValue(value) {
                    add("\(place).value", "\(quoted(value)) is not the value of a taint: correct it")
                }
            }
        }
        if let affinity = service.affinity { free(affinity, "\(field).affinity") }
        let constraints = service.topologySpreadConstraints ?? []
        guard count(constraints.count, "\(field).topologySpreadConstraints", maximum: 8) else { return }
        for (index, constraint) in constraints.enumerated() {
            free(constraint, "\(field).topologySpreadConstraints[\(index)]")
        }
    }

    /// An object that is handed on: of a depth and size that a person would write.
    private mutating func free(_ value: Passthrough, _ field: String) {
        guard case .object = value else {
            add(field, "is not an object: write it as in a pod")
            return
        }
        var left = 2_000
        if !value.fits(depth: 24, &left) {
            add(field, "is too large or too deep to be handed on to a pod: simplify it")
        }
    }
}

extension Passthrough {
    /// Whether it has at most that many levels, and not more values than are left.
    fileprivate func fits(depth: Int, _ left: inout Int) -> Bool {
        left -= 1
        guard depth > 0, left >= 0 else { return false }
        switch self {
        case .object(let members):
            for value in members.values where !value.fits(depth: depth - 1, &left) { return false }
        case .array(let items):
            for value in items where !value.fits(depth: depth - 1, &left) { return false }
        case .string(let text): return text.utf8.count <= 1_024
        case .integer, .number, .bool, .null: break
        }
        return true
    }
}
