// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport

extension KindGround {
    private static let service: JSONValue = [
        "name": "orders", "image": "docker.io/reprise/postgres-walg:15", "major": 15, "storage": ["size": "100Mi"],
        "archive": ["mode": "Disabled"],
    ]
    private static let source: JSONValue = ["archive": ["repository": ["name": "source"], "path": "orders"]]
    private static let conditions: JSONValue = [
        [
            "type": "Ready", "status": "False", "reason": "Waiting", "message": "waits",
            "lastTransitionTime": "2026-06-01T10:00:00Z",
        ]
    ]

    static let repositories = KindGround(
        kind: .repositories,
        fields: [
            "spec": [
                "s3": ["endpoint": "https://s3.example.org", "bucket": "backups"],
                "credentials": ["secretRef": ["name": "keys"]], "allowedImages": ["docker.io/reprise/x"],
            ]
        ],
        allowed: [
            Edit("spec/s3/prefix", "a/b"), Edit("spec/s3/bucket", "other"), Edit("spec/s3/prefix", nil),
            Edit("spec/allowedImages", ["docker.io/a/b", "docker.io/c/d"]), Edit("spec/s3/forcePathStyle", true),
        ],
        refused: [
            Edit("spec/s3/endpoint", "ftp://x"), Edit("spec/s3/endpoint", nil), Edit("spec/s3/bucket", "x"),
            Edit("spec/s3/bucket", 7), Edit("spec/credentials", nil), Edit("spec", nil), Edit("spec/nonsense", 1),
            Edit("spec/s3/insecure", "yes"), Edit("nonsense", 1), Edit("spec/s3", []),
            Edit("spec/s3/nonsense", ["deep": 1]), Edit("spec/s3/prefix", ""),
        ],
        status: [
            ["conditions": conditions, "archivesTotal": 1], ["archivesTotal": "x"], ["nonsense": 1], [:],
            ["archivesTotal": 2],
        ])

    static let clones = KindGround(
        kind: .clones,
        fields: ["spec": ["source": source, "recoveryTarget": ["kind": "Latest"], "service": service]],
        allowed: [
            Edit("spec/recoveryTarget", ["kind": "Time", "time": "2026-06-01T10:00:00Z"]),
            Edit("spec/service/storage/size", "200Mi"), Edit("spec/service/name", "users"),
        ],
        refused: [
            Edit("spec/recoveryTarget/kind", "Sometime"), Edit("spec/service/major", "15"),
            Edit("spec/service/name", "Not_Valid"), Edit("spec/source", nil), Edit("spec", nil),
            Edit("spec/service/storage/size", "lots"), Edit("spec/nonsense", 1), Edit("spec/service/major", 0),
            Edit("spec/service/image", ""),
        ],
        status: [
            ["conditions": conditions], ["state": "Nonsense"], ["conditions": "x"], [:],
            ["observedGeneration": 1], ["message": "x", "nonsense": true],
        ])

    static let runs = KindGround(
        kind: .runs,
        fields: [
            "spec": [
                "mode": "NewService", "source": source, "target": ["newService": service],
                "recoveryTarget": ["kind": "Latest"],
            ]
        ],
        allowed: [
            Edit("spec/cancel", true), Edit("spec/target/newService/storage/size", "200Mi"),
            Edit("spec/recoveryTarget", ["kind": "Time", "time": "2026-06-01T10:00:00Z"]),
        ],
        refused: [
            Edit("spec/mode", "Sideways"), Edit("spec/mode", nil), Edit("spec/mode", 3), Edit("spec/target", "x"),
            Edit("spec/recoveryTarget/kind", "Sometime"), Edit("spec/nonsense", ["a": 1]), Edit("spec", nil),
            Edit("spec/source/archive/path", ""), Edit("spec/target/newService/name", "Not_Valid"),
        ],
        status: [
            ["state": "Running", "phase": "Restore"], ["state": "Nonsense"], ["conditions": conditions], [:],
            ["state": "Completed", "message": "done"], ["phase": 3], ["nonsense": 1, "state": "Running"],
        ])
}
