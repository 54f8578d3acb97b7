// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport

/// What the real server fills in and nobody in this project looks at: taken away on both sides, where it is the default.
/// docs/model.md names it.
func withoutDefaults(_ object: inout JSONValue) {
    object.set(["metadata", "managedFields"], nil)
    object.set(["metadata", "selfLink"], nil)
    for rule in defaults[object.text("kind") ?? ""] ?? [] { strip(&object, rule.path[...], rule.value) }
    if object["kind"] == "Service", object.text("spec", "clusterIP") != "None" {
        object.set(["spec", "clusterIP"], nil)
        object.set(["spec", "clusterIPs"], nil)
    }
}

private struct Default {
    var path: [String]
    /// `nil`: whatever it is.
    var value: JSONValue?

    init(_ path: String, _ value: JSONValue?) {
        self.path = path.split(separator: "/").map(String.init)
        self.value = value
    }
}

private func strip(_ object: inout JSONValue, _ path: ArraySlice<String>, _ value: JSONValue?) {
    guard let key = path.first else { return }
    if key == "*", let items = object.array {
        object = .array(
            items.map { item in
                var item = item
                strip(&item, path.dropFirst(), value)
                return item
            })
    } else if path.count == 1 {
        if object.object != nil, value == nil || object[key] == value { object.set([key], nil) }
    } else if var child = object[key] {
        strip(&child, path.dropFirst(), value)
        object.set([key], child)
    }
}

private func podDefaults(_ at: String) -> [Default] {
    [
        Default(at + "restartPolicy", "Always"), Default(at + "terminationGracePeriodSeconds", 30),
        Default(at + "dnsPolicy", "ClusterFirst"), Default(at + "securityContext", [:]),
        Default(at + "schedulerName", "default-scheduler"), Default(at + "enableServiceLinks", true),
        Default(at + "containers/*/terminationMessagePath", "/dev/termination-log"),
        Default(at + "containers/*/terminationMessagePolicy", "File"),
        Default(at + "containers/*/imagePullPolicy", nil), Default(at + "containers/*/resources", [:]),
    ]
}

private let defaults: [String: [Default]] = [
    "StatefulSet": podDefaults("spec/template/spec/") + [
        Default("spec/podManagementPolicy", "OrderedReady"), Default("spec/revisionHistoryLimit", 10),
        Default("spec/updateStrategy", ["type": "RollingUpdate", "rollingUpdate": ["partition": 0]]),
        Default("spec/volumeClaimTemplates/*/apiVersion", "v1"),
        Default("spec/volumeClaimTemplates/*/kind", "PersistentVolumeClaim"),
        Default("spec/volumeClaimTemplates/*/status", ["phase": "Pending"]),
        Default("spec/volumeClaimTemplates/*/spec/volumeMode", "Filesystem"),
    ],
    "Job": podDefaults("spec/template/spec/"),
    "Pod": podDefaults("spec/") + [
        Default("spec/tolerations", nil), Default("spec/priority", 0),
        Default("spec/preemptionPolicy", "PreemptLowerPriority"), Default("status/qosClass", "BestEffort"),
    ],
    "PersistentVolumeClaim": [
        Default("spec/volumeMode", "Filesystem")
    ],
    "Service": [
        Default("spec/type", "ClusterIP"), Default("spec/sessionAffinity", "None"),
        Default("spec/ports/*/protocol", "TCP"), Default("spec/ports/*/targetPort", nil),
        Default("spec/clusterIPs", ["None"]), Default("status/loadBalancer", [:]),
        Default("spec/ipFamilies", nil), Default("spec/ipFamilyPolicy", nil),
    ],
    "Secret": [Default("type", "Opaque")],
    "Event": [
        Default("reportingComponent", ""), Default("reportingInstance", ""),
    ],
]
