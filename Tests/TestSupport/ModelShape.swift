// SPDX-License-Identifier: Apache-2.0

import JSON

/// What the server's own types do to what they are sent: unknown fields fall away, and so does what is empty; a value
/// of another type is no object of this kind at all.
///
/// Written down as far as the controller writes and the grammar of the conformance test reaches; `any` is taken as it is.
indirect enum ModelShape: Sendable {
    case any
    /// Goes away when empty.
    case text
    /// Stays when empty: a pointer in the server's types, or a field that is always written.
    case keptText
    case number
    case bool
    /// A pointer to a truth: `false` is told from nothing.
    case keptBool
    case bytes
    case time
    case quantity
    case numberOrText
    case object([String: ModelShape])
    case map(ModelShape)
    case list(ModelShape)

    struct Mismatch: Error {}

    /// The value as it comes out of the server's type; `nil` when nothing is left.
    func decoded(_ value: JSONValue) throws(Mismatch) -> JSONValue? {
        if value == .null { return nil }
        switch self {
        case .any: return value
        case .text, .keptText, .bytes, .time, .quantity: return try decodedText(value)
        case .number:
            guard case .integer = value else { throw Mismatch() }
            return value
        case .numberOrText:
            if case .integer = value { return value }
            guard value.string != nil else { throw Mismatch() }
            return value
        case .keptBool:
            guard case .bool = value else { throw Mismatch() }
            return value
        case .bool:
            guard case .bool(let isTrue) = value else { throw Mismatch() }
            return isTrue ? value : nil
        case .object(let fields): return try decodedObject(value) { fields[$0] }
        case .map(let shape): return try decodedObject(value) { _ in shape }
        case .list(let shape):
            guard let items = value.array else { throw Mismatch() }
            var result: [JSONValue] = []
            for item in items { result.append(try shape.decoded(item) ?? .object(JSONObject())) }
            return result.isEmpty ? nil : .array(result)
        }
    }

    private func decodedText(_ value: JSONValue) throws(Mismatch) -> JSONValue? {
        guard let text = value.string else {
            if case .quantity = self, case .integer = value { return value }
            throw Mismatch()
        }
        switch self {
        case .text where text.isEmpty: return nil
        case .bytes:
            guard isBase64(text) else { throw Mismatch() }
        case .time:
            guard text.count >= 20, text.hasPrefix("2"), text.contains("T") else { throw Mismatch() }
        case .quantity:
            guard text.first?.isNumber == true, text.last?.isNumber == true || text.last == "i" else {
                throw Mismatch()
            }
        default: break
        }
        return value
    }

    private func decodedObject(
        _ value: JSONValue, _ shape: (String) -> ModelShape?
    ) throws(Mismatch) -> JSONValue? {
        guard let object = value.object else { throw Mismatch() }
        var members: [JSONObject.Member] = []
        for member in object.members {
            guard let shape = shape(member.key) else { continue }
            // The keys of a map are data: only in an object does an empty field go away.
            if case .keptText = shape, member.value == "" {
                members.append(member)
            } else if takesNullAsEmpty, member.value == .null {
                members.append(.init(key: member.key, value: ""))
            } else if let value = try shape.decoded(member.value) {
                members.append(.init(key: member.key, value: value))
            }
        }
        return members.isEmpty ? nil : .object(JSONObject(keepingFirst: members))
    }

    private var takesNullAsEmpty: Bool {
        switch self {
        case .map(.keptText), .map(.bytes): true
        default: false
        }
    }

    private func isBase64(_ text: String) -> Bool {
        let letters = text.utf8.prefix { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == 0x2B || byte == 0x2F
        }
        return text.utf8.count.isMultiple(of: 4)
            && text.utf8.dropFirst(letters.count).allSatisfy { $0 == 0x3D } && text.utf8.count - letters.count < 3
    }
}

extension ModelShape {
    /// `ObjectMeta`, which custom objects have too.
    static let metadata = ModelShape.object([
        "name": .text, "generateName": .text, "namespace": .text, "uid": .text, "resourceVersion": .text,
        "generation": .number, "creationTimestamp": .time, "deletionTimestamp": .time,
        "deletionGracePeriodSeconds": .number, "labels": .map(.keptText), "annotations": .map(.keptText),
        "finalizers": .list(.keptText),
        "ownerReferences": .list(
            .object([
                "apiVersion": .keptText, "kind": .keptText, "name": .keptText, "uid": .keptText,
                "controller": .keptBool,
                "blockOwnerDeletion": .keptBool,
            ])),
    ])

    private static let podSpec: ModelShape = {
        let names = [
            "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy",
            "enableServiceLinks", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostname", "imagePullSecrets",
            "initContainers", "nodeName", "nodeSelector", "overhead", "preemptionPolicy", "priority",
            "priorityClassName", "readinessGates", "restartPolicy", "runtimeClassName", "schedulerName",
            "securityContext", "serviceAccount", "serviceAccountName", "setHostnameAsFQDN", "shareProcessNamespace",
            "subdomain", "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes",
        ]
        return .object(Dictionary(names.map { ($0, .any) }, uniquingKeysWith: { first, _ in first }))
    }()
    private static let template = ModelShape.object([
        "metadata": .object(["labels": .map(.keptText), "annotations": .map(.keptText)]), "spec": podSpec,
    ])
    private static let selector = ModelShape.object(["matchLabels": .map(.keptText), "matchExpressions": .any])

    /// An object of a kind; `nil` for custom kinds.
    static func whole(_ kind: ModelKind) -> ModelShape? { wholes[kind] }

    private static let wholes: [ModelKind: ModelShape] = table.mapValues { fields in
        .object(fields.merging(["metadata": metadata]) { $1 })
    }

    /// The fields of a kind but for `metadata`.
    private static let table: [ModelKind: [String: ModelShape]] = [
        .configMaps: ["data": .map(.keptText), "binaryData": .map(.bytes), "immutable": .keptBool],
        .secrets: [
            "data": .map(.bytes), "stringData": .map(.keptText), "type": .text, "immutable": .keptBool,
        ],
        .services: [
            "spec": .object([
                "clusterIP": .text, "selector": .map(.keptText), "type": .text, "publishNotReadyAddresses": .bool,
                "clusterIPs": .any, "ipFamilies": .any, "ipFamilyPolicy": .any, "sessionAffinity": .text,
                "externalName": .text,
                "ports": .list(
                    .object([
                        "name": .text, "port": .number, "protocol": .text, "targetPort": .numberOrText,
                        "appProtocol": .text, "nodePort": .number,
                    ])),
            ]), "status": .object(["loadBalancer": .any]),
        ],
        .statefulSets: [
            "spec": .object([
                "replicas": .number, "serviceName": .keptText, "selector": selector, "template": template,
                "volumeClaimTemplates": .any, "podManagementPolicy": .text, "updateStrategy": .any,
                "revisionHistoryLimit": .number,
            ]),
            "status": .object([
                "replicas": .number, "readyReplicas": .number, "observedGeneration": .number,
                "currentReplicas": .number, "updatedReplicas": .number, "currentRevision": .text,
                "updateRevision": .text, "collisionCount": .number, "conditions": .any,
            ]),
        ],
        .jobs: [
            "spec": .object([
                "parallelism": .number, "completions": .number, "backoffLimit": .number,
                "activeDeadlineSeconds": .number, "ttlSecondsAfterFinished": .number, "manualSelector": .any,
                "selector": selector, "template": template,
            ]),
            "status": .object([
                "active": .number, "succeeded": .number, "failed": .number, "conditions": .any, "startTime": .time,
                "completionTime": .time,
            ]),
        ],
        .claims: [
            "spec": .object([
                "accessModes": .list(.keptText), "storageClassName": .keptText, "volumeName": .text,
                "volumeMode": .text, "selector": selector, "dataSource": .any,
                "resources": .object(["requests": .map(.quantity), "limits": .map(.quantity)]),
            ]),
            "status": .object([
                "phase": .text, "capacity": .map(.quantity), "accessModes": .list(.keptText), "conditions": .any,
            ]),
        ],
        .leases: [
            "spec": .object([
                "holderIdentity": .keptText, "leaseDurationSeconds": .number, "leaseTransitions": .number,
                "acquireTime": .time, "renewTime": .time,
            ])
        ],
        .scales: ["spec": .object(["replicas": .number]), "status": .any],
        .pods: ["spec": podSpec, "status": .any],
        .events: [
            "involvedObject": .object([
                "kind": .text, "namespace": .text, "name": .text, "uid": .text, "apiVersion": .text,
                "resourceVersion": .text, "fieldPath": .text,
            ]), "reason": .text, "message": .text, "type": .text, "count": .number, "firstTimestamp": .time,
            "lastTimestamp": .time, "eventTime": .time, "source": .object(["component": .text, "host": .text]),
            "reportingComponent": .text, "reportingInstance": .text, "action": .text, "series": .any,
            "related": .any,
        ],
    ]
}
