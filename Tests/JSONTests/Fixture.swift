// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The StatefulSet fixture, 6.3 KB.
enum Fixture {
    static func statefulSet(_ file: String = #filePath) throws -> [UInt8] {
        let tests = URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent()
        return [UInt8](try Data(contentsOf: tests.appendingPathComponent("Fixtures/kube/statefulset.json")))
    }
}

struct StatefulSet: Codable, Equatable {
    struct Metadata: Codable, Equatable {
        var name: String
        var namespace: String
        var uid: String
        var generation: Int64
        var deletionTimestamp: String?
        var labels: [String: String]
        var annotations: [String: String]?
        var finalizers: [String]?
    }

    struct Spec: Codable, Equatable {
        struct Template: Codable, Equatable {
            struct Pod: Codable, Equatable {
                var containers: [Container]
                var terminationGracePeriodSeconds: UInt32
            }
            var spec: Pod
        }
        var replicas: Int32
        var template: Template
    }

    struct Container: Codable, Equatable {
        struct Variable: Codable, Equatable {
            var name: String
            var value: String?
        }
        var name: String
        var args: [String]
        var env: [Variable]
        var resources: [String: [String: String]]
    }

    var metadata: Metadata
    var spec: Spec
}
