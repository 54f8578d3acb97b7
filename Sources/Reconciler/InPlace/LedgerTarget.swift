// SPDX-License-Identifier: Apache-2.0

package import Resources

/// The service that holds the ledger: its data is replaced only by a run that may do without the ledger.
///
/// It is known by the name under which the controller reaches its ledger, as far as that is a name of this cluster: of a
/// Service, or of a pod of it, or the pod's address. A way around them (a proxy, an alias outside) is not seen through.
package enum LedgerTarget {
    /// A name within the cluster.
    package struct Name: Equatable, Sendable {
        package var pod: String?
        package var service: String
        package var namespace: String

        package init(pod: String? = nil, service: String, namespace: String) {
            self.pod = pod
            self.service = service
            self.namespace = namespace
        }
    }

    /// - Parameter own: The controller's namespace, in which a bare name is looked up.
    /// - Returns: `nil` for what can't be a name of a Service or of a pod.
    package static func name(_ host: String, in own: String) -> Name? {
        guard !host.hasPrefix("/"), !host.contains(":") else { return nil }
        let labels = host.lowercased().split(separator: ".").map(String.init)
        if labels.count > 2, labels[2] == "svc" { return Name(service: labels[0], namespace: labels[1]) }
        if labels.count > 3, labels[3] == "svc" {
            return Name(pod: labels[0], service: labels[1], namespace: labels[2])
        }
        switch labels.count {
        case 1: return Name(service: labels[0], namespace: own)
        case 2: return Name(service: labels[0], namespace: labels[1])
        case 3: return Name(pod: labels[0], service: labels[1], namespace: labels[2])
        default: return nil
        }
    }

    /// Whether a name leads to the pod of a StatefulSet.
    /// - Parameter service: The Service of the name, if it is there.
    package static func leads(_ name: Name, to workload: ServiceWorkload, through service: Service?) -> Bool {
        guard name.namespace == workload.metadata.namespace else { return false }
        let pod = "\(workload.metadata.name)-0"
        if let named = name.pod { return named == pod }
        if name.service == workload.spec?.serviceName { return true }
        guard let selector = service?.spec?.selector, !selector.isEmpty else { return false }
        var labels = workload.spec?.template?.metadata?.labels ?? [:]
        labels["statefulset.kubernetes.io/pod-name"] = pod
        labels["apps.kubernetes.io/pod-index"] = "0"
        return selector.allSatisfy { labels[$0.key] == $0.value }
    }
}

extension LedgerTarget {
    /// The Services of the target's namespace by which the controller reaches its ledger.
    static func observe(
        _ request: InPlaceRequest, _ run: RestoreRun, through reader: inout some Reader
    ) -> [String: Observed<Service>] {
        guard run.spec?.ledger != "BestEffort" else { return [:] }
        let settings = reader.settings
        var found: [String: Observed<Service>] = [:]
        for host in settings.ledgerHosts {
            guard let name = name(host, in: settings.controllerNamespace), name.namespace == request.namespace,
                name.pod == nil
            else { continue }
            found[name.service] = reader.confirmed(Service.self, request.namespace, name.service)
        }
        return found
    }

    /// What keeps a run from being planned: the target holds the ledger, or may.
    static func look(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ workload: ServiceWorkload
    ) -> WorldView? {
        guard snapshot.run.spec?.ledger != "BestEffort" else { return nil }
        for host in snapshot.settings.ledgerHosts {
            let isAddress = snapshot.pod.value?.status?.podIP == host
            let name = name(host, in: snapshot.settings.controllerNamespace)
            let service = name.flatMap { view.ledgerServices[$0.service] }
            if isAddress || name.map({ leads($0, to: workload, through: service?.value) }) ?? false {
                return .refused([finding(host, workload)])
            }
            if service?.isUnknown == true { return .reading("reading Service \(name?.service ?? "")") }
        }
        return nil
    }

    private static func finding(_ host: String, _ workload: ServiceWorkload) -> PlanFinding {
        PlanFinding(
            reason: "LedgerTarget",
            message: "StatefulSet \(workload.metadata.name) holds the ledger (\(host)): it is away while its data is "
                + "replaced, and has lost afterwards what was recorded since. If that is to be, set spec.ledger: BestEffort "
                + "in a new RestoreRun, and run \"controller ledger rebuild\" afterwards")
    }
}
