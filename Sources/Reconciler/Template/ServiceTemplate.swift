// SPDX-License-Identifier: Apache-2.0

import Resources

/// What a new service takes over from the one that its `templateRef` names: the fields of a new service, and what the
/// server's command line sets.
///
/// What makes a service itself is never taken over: names, labels and annotations (a Service of the other one would select
/// the copy's pods, a GitOps tool prune it), its port, its archive, passwords and whatever else may hold a secret. The other
/// things that a new service has no field for are left out, and said.
struct ServiceTemplate {
    let wanted: NewService
    let service: ManagedService
    let workload: ServiceWorkload

    /// The field that all this is about.
    static let field = "spec.target.newService.templateRef"

    /// - Parameter claim: The one that `claimTemplate` leads to, where there is one.
    /// - Returns: what speaks against copying it, instead.
    func copy(_ claim: PersistentVolumeClaim?) -> Result<CopiedService, ServiceRefusal> {
        guard let profile else {
            return refused("UnsupportedMode", "has an imageProfile that is not known; give imageProfile")
        }
        guard let pod = workload.spec?.template?.spec,
            let container = ServiceUnit.container(service, profile, pod.containers ?? []),
            let image = wanted.image ?? container.image
        else {
            return refused(
                "InvalidSpec",
                "has no container \(service.spec?.container ?? profile.container) in StatefulSet "
                    + "\(workload.metadata.name); name the server's in its spec.container")
        }
        if let finding = majorFinding { return .failure(ServiceRefusal(finding)) }
        let storage: ServiceWorkload.ClaimTemplate?
        switch claimTemplate() {
        case .failure(let refusal): return .failure(refusal)
        case .success(let found): storage = found
        }
        var made = wanted
        made.image = image
        made.imagePullPolicy = wanted.imagePullPolicy ?? container.imagePullPolicy
        made.imagePullSecrets = wanted.imagePullSecrets ?? pod.imagePullSecrets
        made.imageProfile = wanted.imageProfile ?? service.spec?.imageProfile
        made.major = wanted.major ?? service.spec?.major
        // As it is now, and not as it was when the service was made: a claim may have grown since.
        let asked = claim?.spec ?? storage?.spec
        made.storage = .init(
            size: wanted.storage?.size ?? asked?.size,
            className: wanted.storage?.className ?? asked?.storageClassName ?? storage?.spec?.storageClassName)
        made.resources = wanted.resources ?? container.resources
        made.nodeSelector = wanted.nodeSelector ?? pod.nodeSelector
        made.tolerations = wanted.tolerations ?? pod.tolerations
        made.affinity = wanted.affinity ?? pod.affinity
        made.topologySpreadConstraints = wanted.topologySpreadConstraints ?? pod.topologySpreadConstraints
        made.securityContext = securityContext(pod, container)
        let variables = CopiedVariables(container.env ?? [], beside: wanted.env ?? [])
        made.env = variables.all.isEmpty ? wanted.env : variables.all
        let parameters = ServerParameters.read(container)
        let omitted = variables.omitted + parameters.omitted + others(pod, container, storage?.metadata.name)
        if let finding = invalid(made) { return .failure(ServiceRefusal(finding)) }
        return .success(
            CopiedService(
                from: service.metadata.name, workload: workload.metadata.name, service: made,
                parameters: parameters.settings.isEmpty ? nil : parameters.settings,
                omitted: omitted.isEmpty ? nil : Array(omitted.prefix(64))))
    }

    private var profile: ImageProfile? { ImageProfile.named(wanted.imageProfile ?? service.spec?.imageProfile) }

    private func finding(_ reason: String, _ words: String) -> PlanFinding {
        PlanFinding(
            reason: reason, message: "\(Self.field): ManagedService \(service.metadata.name) \(words)")
    }

    private func refused<Value>(_ reason: String, _ words: String) -> Result<Value, ServiceRefusal> {
        .failure(ServiceRefusal(finding(reason, words)))
    }

    private var majorFinding: PlanFinding? {
        guard let own = service.spec?.major else {
            return wanted.major == nil
                ? finding("InvalidSpec", "has no spec.major to copy; set it there, or give major") : nil
        }
        guard let major = wanted.major, major != own, wanted.image == nil else { return nil }
        return finding(
            "MajorMismatch",
            "is of major version \(own), and its image would be copied for major \(major); give an image of that major "
                + "version, or leave major out")
    }

    // MARK: Storage

    /// The claim template with the data, as far as anything of it is to be copied.
    private func claimTemplate() -> Result<ServiceWorkload.ClaimTemplate?, ServiceRefusal> {
        guard let profile, let pod = workload.spec?.template?.spec,
            let container = ServiceUnit.container(service, profile, pod.containers ?? [])
        else { return .success(nil) }
        switch ServiceUnit.data(service, profile, workload, container) {
        case .success(let (volume, _)):
            return .success(workload.spec?.volumeClaimTemplates?.first { $0.metadata.name == volume })
        case .failure(let refusal):
            if wanted.storage?.size != nil { return .success(nil) }
            let words = "\(Self.field): \(refusal.finding.message); or give storage"
            return .failure(ServiceRefusal(PlanFinding(reason: refusal.finding.reason, message: words)))
        }
    }

    /// The claim of its first pod, where its size or class is to be copied.
    var claim: String? {
        guard wanted.storage?.size == nil || wanted.storage?.className == nil,
            case .success(let template?) = claimTemplate()
        else { return nil }
        return "\(template.metadata.name)-\(workload.metadata.name)-0"
    }

    // MARK: The pod

    private func securityContext(
        _ pod: ServiceWorkload.PodFacts, _ container: ServiceWorkload.Container
    ) -> NewService.SecurityContext? {
        let own = wanted.securityContext
        func number(_ own: Int64?, _ name: String) -> Int64? {
            own ?? container.securityContext?.number(name) ?? pod.securityContext?.number(name)
        }
        var context = NewService.SecurityContext()
        context.runAsUser = number(own?.runAsUser, "runAsUser")
        context.runAsGroup = number(own?.runAsGroup, "runAsGroup")
        context.fsGroup = own?.fsGroup ?? pod.securityContext?.number("fsGroup")
        return context == NewService.SecurityContext() ? own : context
    }

    /// What a new service has no field for, or what is not copied on its own.
    private func others(
        _ pod: ServiceWorkload.PodFacts, _ container: ServiceWorkload.Container, _ data: String?
    ) -> [String] {
        var words: [String] = []
        if wanted.configMapRef == nil, container.envFrom?.isEmpty == false { words.append("envFrom") }
        let volumes = (container.volumeMounts ?? []).map(\.name).filter { $0 != data }
        words += Set(volumes).sorted().map { "volume \($0)" }
        words += (pod.initContainers ?? []).map { "init container \($0.name)" }
        words += (pod.containers ?? []).filter { $0.name != container.name }.map { "container \($0.name)" }
        if pod.priorityClassName != nil { words.append("priorityClassName") }
        if pod.runtimeClassName != nil { words.append("runtimeClassName") }
        let numbers: Set = ["runAsUser", "runAsGroup", "fsGroup"]
        let keys = (pod.securityContext?.keys ?? []).union(container.securityContext?.keys ?? []).subtracting(numbers)
        return words + keys.sorted().map { "securityContext.\($0)" }
    }

    /// What is copied can be read by everyone who reads the run: a variable or a parameter with such a name is left out.
    static func mayBeSecret(_ name: String) -> Bool {
        let name = name.uppercased()
        return ["PASSW", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY", "_KEY"].contains { name.contains($0) }
    }

    /// Another one's objects follow other rules than a new service: what would be refused in a manifest is refused here.
    private func invalid(_ made: NewService) -> PlanFinding? {
        var findings = Findings()
        findings.newService(made, "newService")
        findings.require(made.storage?.size != nil, "newService.storage.size", "there is none to copy")
        return findings.list.first.map { finding in
            self.finding(
                finding.reason, "can't be copied: \(finding.message). Give that field in spec.target.newService")
        }
    }
}

extension CopiedService {
    /// Says what of the other service the copy does not have.
    var warning: PlanFinding? {
        guard let omitted, !omitted.isEmpty else { return nil }
        let rest = omitted.count > 12 ? " and \(omitted.count - 12) more" : ""
        return PlanFinding(
            reason: "NotCopied",
            message: "of StatefulSet \(workload) (ManagedService \(from)) is not copied: "
                + omitted.prefix(12).joined(separator: ", ") + rest
                + "; give what the new service needs in spec.target.newService")
    }
}

/// The variables of a copy: its own, and beside them what can be copied.
private struct CopiedVariables {
    var all: [NewService.Variable]
    var omitted: [String] = []

    init(_ found: [CopiedVariable], beside own: [NewService.Variable]) {
        all = own
        var known = Set(own.compactMap(\.name))
        // The last one of a name counts.
        var copied: [NewService.Variable] = []
        for variable in found.reversed() where !isReservedVariable(variable.name) {
            guard known.insert(variable.name).inserted else { continue }
            guard variable.valueFrom == nil, Names.isVariable(variable.name),
                !ServiceTemplate.mayBeSecret(variable.name),
                let value = Expansion.literal(variable.value ?? ""), value.unicodeScalars.count <= 4_096,
                !(value.contains("://") && value.contains("@"))
            else {
                omitted.append("variable \(quoted(variable.name))")
                continue
            }
            copied.append(NewService.Variable(name: variable.name, value: value))
        }
        all += copied.reversed()
        omitted.reverse()
    }
}

extension Passthrough {
    fileprivate func number(_ name: String) -> Int64? {
        if case .object(let members) = self, case .integer(let number)? = members[name] { number } else { nil }
    }

    fileprivate var keys: Set<String> {
        if case .object(let members) = self { Set(members.keys) } else { [] }
    }
}
