// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport

/// What the grammar knows of a kind: a valid object, changes that are allowed, and changes that are not.
struct KindGround: Sendable {
    var kind: ModelKind
    /// All but `metadata`.
    var fields: JSONValue
    /// Changes of the object that the server takes.
    var allowed: [Edit]
    /// Changes that it refuses, or cuts away.
    var refused: [Edit]
    var status: [JSONValue] = []

    func object(_ name: String, labels: JSONValue? = nil) -> JSONValue {
        var object = fields
        object.set(["apiVersion"], .string(kind.apiVersion))
        object.set(["kind"], .string(kind.kind))
        object.set(["metadata", "name"], .string(name))
        if kind == .statefulSets { object.set(["spec", "serviceName"], .string(name)) }
        if kind == .events {
            object.set(["involvedObject", "namespace"], "@namespace")
        }
        object.set(["metadata", "labels"], labels)
        return object
    }
}

extension KindGround {
    static let all = [
        configMaps, secrets, services, statefulSets, jobs, claims, leases, pods, events, repositories, clones, runs,
    ]

    private static let configMaps = KindGround(
        kind: .configMaps, fields: ["data": ["a": "1", "b": "2"]],
        allowed: [
            Edit("data/a", "7"), Edit("data/b", nil), Edit("data/c", "3"), Edit("data", ["x": "y"]), Edit("data", nil),
        ],
        refused: [
            Edit("data/a", 7), Edit("data", "text"), Edit("data/a b", "x"), Edit("nonsense", 1),
            Edit("metadata/nonsense", "x"), Edit("binaryData/z", "%%%"), Edit("immutable", "yes"),
        ])

    private static let secrets = KindGround(
        kind: .secrets, fields: ["type": "Opaque", "data": ["a": "MQ=="]],
        allowed: [
            Edit("data/b", "Mg=="), Edit("stringData/s", "plain"), Edit("stringData/a", "over"), Edit("data/a", nil),
            Edit("data", nil),
        ],
        refused: [
            Edit("data/a", "not base64!"), Edit("type", "Other"), Edit("data/a b", "MQ=="), Edit("stringData/a", 1),
            Edit("nonsense", ["x": 1]),
        ])

    private static let services = KindGround(
        kind: .services,
        fields: ["spec": ["clusterIP": "None", "selector": ["app": "x"], "ports": [["name": "sql", "port": 5432]]]],
        allowed: [
            Edit("spec/selector/app", "y"), Edit("spec/ports", [["name": "sql", "port": 5433]]),
            Edit("spec/selector", ["other": "z"]), Edit("spec/publishNotReadyAddresses", true),
        ],
        refused: [
            Edit("spec/ports", [["name": "sql", "port": 0]]), Edit("spec/ports", [["name": "sql", "port": "x"]]),
            Edit("spec/nonsense", 1), Edit("spec/type", "Sideways"),
            Edit("spec/ports", [["name": "sql", "port": 99999]]),
        ],
        status: [["loadBalancer": ["ingress": [["ip": "1.2.3.4"]]]], [:]])

    private static let podSpec: JSONValue = [
        "containers": [
            [
                "name": "main", "image": "docker.io/x/y:1",
                "env": [["name": "A", "value": "1"], ["name": "B", "value": ""], ["name": "C", "value": "3"]],
            ]
        ]
    ]

    private static let statefulSets = KindGround(
        kind: .statefulSets,
        fields: [
            "spec": [
                "replicas": 1, "serviceName": "x", "selector": ["matchLabels": ["app": "x"]],
                "template": ["metadata": ["labels": ["app": "x"]], "spec": podSpec],
            ]
        ],
        allowed: [
            Edit("spec/replicas", 0), Edit("spec/replicas", 2), Edit("spec/replicas", nil),
            Edit("spec/template/metadata/labels/more", "x"),
            Edit("spec/template/metadata/annotations", ["note": "x"]), Edit("spec/replicas", 1),
            Edit(
                "spec/template/spec/containers",
                [["name": "main", "image": "docker.io/x/y:2", "env": [["name": "A", "value": "2"]]]]),
        ],
        refused: [
            Edit("spec/replicas", -1), Edit("spec/replicas", "two"), Edit("spec/serviceName", "other"),
            Edit("spec/selector/matchLabels/app", "z"), Edit("spec/template/metadata/labels/app", "z"),
            Edit("spec/nonsense", 1), Edit("spec/template/spec/containers", []), Edit("spec/template", nil),
            Edit("spec/selector", nil), Edit("spec/replicas", 1.5),
        ],
        status: [
            ["replicas": 1, "readyReplicas": 1, "observedGeneration": 1], ["replicas": 0],
            ["replicas": 2, "currentReplicas": 1], ["replicas": -1], ["replicas": "x"],
        ])

    private static let jobs: KindGround = {
        var template: JSONValue = ["spec": podSpec]
        template.set(["spec", "restartPolicy"], "Never")
        return KindGround(
            kind: .jobs, fields: ["spec": ["backoffLimit": 0, "template": template]],
            allowed: [
                Edit("spec/parallelism", 0), Edit("spec/backoffLimit", 2), Edit("spec/activeDeadlineSeconds", 50),
                Edit("spec/activeDeadlineSeconds", nil),
            ],
            refused: [
                Edit("spec/parallelism", -1), Edit("spec/backoffLimit", -1), Edit("spec/backoffLimit", "x"),
                Edit("spec/template/metadata/labels/x", "y"), Edit("spec/nonsense", 1),
                Edit("spec/template/spec/restartPolicy", "Sometimes"), Edit("spec/template", nil),
                Edit("spec/completions", 5),
            ],
            status: [
                ["active": 1], ["succeeded": 1, "conditions": [["type": "Complete", "status": "True"]]],
                ["failed": 1], ["active": -1],
            ])
    }()

    private static let claims = KindGround(
        kind: .claims,
        fields: [
            "spec": [
                "accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]],
            ]
        ],
        allowed: [Edit("metadata/labels/extra", "x"), Edit("metadata/annotations/y", "x")],
        refused: [
            Edit("spec/accessModes", ["ReadWriteMany"]), Edit("spec/resources/requests/storage", "100Mi"),
            Edit("spec/resources/requests/storage", "lots"), Edit("spec/nonsense", 1), Edit("spec/accessModes", nil),
            Edit("spec/volumeName", "v1"), Edit("spec", nil), Edit("spec/storageClassName", "other"),
        ],
        status: [
            ["phase": "Bound", "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"]],
            ["phase": "Lost"],
        ])

    private static let leases = KindGround(
        kind: .leases,
        fields: [
            "spec": [
                "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 1,
                "renewTime": "2026-06-01T10:00:00.000000Z",
            ]
        ],
        allowed: [
            Edit("spec/holderIdentity", "you"), Edit("spec/holderIdentity", ""), Edit("spec/leaseTransitions", 2),
            Edit("spec/renewTime", "2026-06-01T10:00:05.000000Z"), Edit("spec/holderIdentity", nil),
        ],
        refused: [
            Edit("spec/leaseDurationSeconds", 0), Edit("spec/leaseDurationSeconds", "x"),
            Edit("spec/leaseTransitions", -1), Edit("spec/renewTime", "soon"), Edit("spec/nonsense", 1),
        ])

    private static let pods = KindGround(
        kind: .pods, fields: ["spec": podSpec],
        allowed: [
            Edit("metadata/labels/extra", "x"), Edit("spec/activeDeadlineSeconds", 50),
            Edit("metadata/annotations/y", "x"),
        ],
        refused: [
            Edit("spec/hostname", "other"), Edit("spec/containers", []), Edit("spec/nonsense", 1),
            Edit("spec/restartPolicy", "Sometimes"), Edit("spec/nodeName", "there"),
            Edit("spec/activeDeadlineSeconds", -1),
        ],
        status: [
            ["phase": "Running", "qosClass": "BestEffort"], ["phase": "Succeeded", "qosClass": "BestEffort"],
            [
                "phase": "Pending", "conditions": [["type": "Ready", "status": "False"]], "qosClass": "BestEffort",
            ],
        ])

    private static let events = KindGround(
        kind: .events,
        fields: [
            "involvedObject": ["kind": "Pod", "name": "p", "uid": "u"], "reason": "Made", "message": "made",
            "type": "Normal", "count": 1, "source": ["component": "test"],
        ],
        allowed: [Edit("count", 2), Edit("message", "again"), Edit("reason", "Other"), Edit("count", 7)],
        refused: [
            Edit("involvedObject/namespace", "elsewhere"), Edit("count", "x"), Edit("nonsense", 1),
            Edit("involvedObject", nil), Edit("lastTimestamp", "soon"),
        ])
}
