// SPDX-License-Identifier: Apache-2.0

/// A JSON value that is handed on as it came (a user's `affinity`), never interpreted.
package indirect enum Passthrough: Codable, Equatable, Sendable {
    case object([String: Passthrough])
    case array([Passthrough])
    case string(String)
    case integer(Int64)
    case number(Double)
    case bool(Bool)
    case null

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([Passthrough].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: Passthrough].self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .object(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .bool(let value): try container.encode(value)
        case .null: try container.encodeNil()
        }
    }

    /// A pod affinity that requires the node which runs a pod with these labels (one claim, one node).
    package static func affinity(besidePodsWith labels: [String: String]) -> Passthrough {
        let term: Passthrough = .object([
            "labelSelector": .object(["matchLabels": .object(labels.mapValues { .string($0) })]),
            "topologyKey": .string("kubernetes.io/hostname"),
        ])
        return .object([
            "podAffinity": .object(["requiredDuringSchedulingIgnoredDuringExecution": .array([term])])
        ])
    }
}
