// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What a `templateRef` leads to. Read until the run is planned; what was found then is remembered.
package struct TemplateView: Equatable, Sendable {
    /// The ManagedService that it names.
    package var name: String
    package var service: Observed<ManagedService> = .unknown
    package var workload: Observed<ServiceWorkload> = .unknown
    /// The claim of the first pod; not read where nothing of it is copied.
    package var claim: Observed<PersistentVolumeClaim>?

    package init(name: String) { self.name = name }
}

extension RestoreRunBehavior {
    /// Reads what is to be copied, and the request with it, where the spec alone does not make one.
    static func observeTemplate(_ snapshot: inout RestoreRunSnapshot, through reader: inout some Reader) {
        guard snapshot.request == nil, snapshot.findings.isEmpty, snapshot.status.plan == nil,
            let wanted = snapshot.run.spec?.target?.newService, let name = wanted.templateRef?.name
        else { return }
        let space = snapshot.run.metadata.namespace ?? ""
        var view = TemplateView(name: name)
        view.service = reader.object(ManagedService.self, space, name)
        if let service = view.service.value, let workload = service.spec?.workload?.name {
            view.workload = watching(ServiceWorkload.self, space, workload, &reader)
            if let found = view.workload.value,
                let claim = ServiceTemplate(wanted: wanted, service: service, workload: found).claim
            {
                view.claim = watching(PersistentVolumeClaim.self, space, claim, &reader)
            }
        }
        snapshot.template = view
        guard case .found(let copied) = lookAtTemplate(snapshot, view, wanted) else { return }
        let read = RunRequest.read(snapshot.run, copied: copied)
        snapshot.request = read.request
        snapshot.findings = read.findings
    }

    /// What became of looking for it.
    enum Template {
        case found(CopiedService)
        case not(WorldView)
    }

    /// What keeps a request from being understood that its spec alone does not make; `nil` where there is no such thing.
    static func lookAtTemplate(_ snapshot: RestoreRunSnapshot) -> WorldView? {
        guard let view = snapshot.template, let wanted = snapshot.run.spec?.target?.newService,
            case .not(let why) = lookAtTemplate(snapshot, view, wanted)
        else { return nil }
        return why
    }

    private static func lookAtTemplate(
        _ snapshot: RestoreRunSnapshot, _ view: TemplateView, _ wanted: NewService
    ) -> Template {
        let space = snapshot.run.metadata.namespace ?? ""
        let service: ManagedService
        switch view.service {
        case .unknown: return .not(.reading("reading ManagedService \(view.name)"))
        case .absent: return .not(.missing(absent("ManagedService", view.name, space, "ServiceNotFound")))
        case .present(let found): service = found
        }
        let findings = validate(service.spec).map {
            PlanFinding(
                reason: $0.reason, message: "\(ServiceTemplate.field): ManagedService \(view.name): \($0.message)")
        }
        guard findings.isEmpty else { return .not(.refused(findings)) }
        if let other = otherEngine(service, ServiceTemplate.field, snapshot.run) { return .not(.refused([other])) }
        let name = service.spec?.workload?.name ?? ""
        switch view.workload {
        case .unknown: return .not(.reading("reading StatefulSet \(name)"))
        case .absent: return .not(.missing(absent("StatefulSet", name, space, "TemplateNotFound")))
        case .present(let workload):
            // Without its claim, what the StatefulSet would ask for counts.
            if view.claim?.isUnknown == true { return .not(.reading("reading the claim of StatefulSet \(name)")) }
            let template = ServiceTemplate(wanted: wanted, service: service, workload: workload)
            switch template.copy(view.claim?.value) {
            case .failure(let refusal): return .not(.refused([refusal.finding]))
            case .success(let copied): return .found(copied)
            }
        }
    }
}
