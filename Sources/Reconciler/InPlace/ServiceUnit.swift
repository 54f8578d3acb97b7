// SPDX-License-Identifier: Apache-2.0

package import Resources

/// A user's service as a run works on it: one StatefulSet with one replica at most, and one claim with the data.
package struct ServiceUnit: Equatable, Sendable {
    package var statefulSet: String
    package var uid: String
    package var replicas: Int
    package var pod: String
    package var claim: String
    /// The name of the volume that mounts the claim.
    package var volume: String
    package var mount: CopiedMount
    /// PGDATA.
    package var dataDirectory: String
    package var image: String
    package var profile: ImageProfile
    package var container: ServiceWorkload.Container
    package var template: ServiceWorkload.PodFacts
    /// As the ManagedService says; else the volume does.
    package var major: Int?
    /// Where the ManagedService says that its password is.
    package var credentials: ManagedServiceSpec.ServiceCredentials?

    /// Puts together what the two objects say.
    /// - Returns: what speaks against working on it, instead.
    package static func read(
        _ service: ManagedService, _ workload: ServiceWorkload
    ) -> Result<ServiceUnit, ServiceRefusal> {
        let name = workload.metadata.name
        func refused(_ reason: String, _ message: String) -> Result<ServiceUnit, ServiceRefusal> {
            .failure(ServiceRefusal(PlanFinding(reason: reason, message: "StatefulSet \(name): \(message)")))
        }
        if let owner = workload.metadata.ownerReferences?.first(where: { $0.controller == true }) {
            return refused(
                "ManagedByOperator",
                "\(owner.kind) \(owner.name) runs it, and would set back what a restore does to it; restore with that "
                    + "operator, or into a new service")
        }
        guard (0...1).contains(workload.replicas) else {
            return refused(
                "UnsupportedMode",
                "it has \(workload.replicas) replicas; in place works on one server. Scale it to 1 first, or restore "
                    + "into a new service")
        }
        guard let profile = ImageProfile.named(service.spec?.imageProfile) else {
            return refused("UnsupportedMode", "imageProfile \(service.spec?.imageProfile ?? "") is not known")
        }
        guard let template = workload.spec?.template?.spec,
            let container = container(service, profile, template.containers ?? []), let image = container.image
        else {
            return refused(
                "InvalidSpec",
                "it has no container \(service.spec?.container ?? profile.container); name the server's in "
                    + "spec.container of ManagedService \(service.metadata.name)")
        }
        switch data(service, profile, workload, container) {
        case .failure(let refusal): return .failure(refusal)
        case .success(let (volume, mount)):
            let directory = directory(container, profile, service.spec?.major)
            let unit = ServiceUnit(
                statefulSet: name, uid: workload.metadata.uid ?? "", replicas: workload.replicas, pod: "\(name)-0",
                claim: "\(volume)-\(name)-0", volume: volume, mount: mount, dataDirectory: directory ?? "",
                image: image, profile: profile, container: container, template: template, major: service.spec?.major,
                credentials: service.spec?.credentials)
            if let finding = unit.misplaced(directory) { return .failure(ServiceRefusal(finding)) }
            return .success(unit)
        }
    }

    /// The server's container: as the ManagedService says, or the profile, or the only one.
    static func container(
        _ service: ManagedService, _ profile: ImageProfile, _ all: [ServiceWorkload.Container]
    ) -> ServiceWorkload.Container? {
        if let name = service.spec?.container { return all.first { $0.name == name } }
        return all.first { $0.name == profile.container } ?? (all.count == 1 ? all.first : nil)
    }

    /// The claim template with the data, and where it is mounted.
    static func data(
        _ service: ManagedService, _ profile: ImageProfile, _ workload: ServiceWorkload,
        _ container: ServiceWorkload.Container
    ) -> Result<(volume: String, mount: CopiedMount), ServiceRefusal> {
        let name = workload.metadata.name
        func refused(_ reason: String, _ message: String) -> Result<
            (volume: String, mount: CopiedMount), ServiceRefusal
        > {
            .failure(ServiceRefusal(PlanFinding(reason: reason, message: "StatefulSet \(name): \(message)")))
        }
        let templates = (workload.spec?.volumeClaimTemplates ?? []).map(\.metadata.name)
        let mounts = (container.volumeMounts ?? []).filter { templates.contains($0.name) }
        let volume: String
        if let wanted = service.spec?.claim {
            guard templates.contains(wanted) else {
                return refused(
                    "InvalidSpec",
                    "it has no volumeClaimTemplate \(wanted); correct spec.claim of ManagedService "
                        + service.metadata.name)
            }
            volume = wanted
        } else {
            guard mounts.count == 1, let only = mounts.first else {
                return refused(
                    mounts.isEmpty ? "InvalidSpec" : "SeveralDataClaims",
                    "container \(container.name) mounts \(mounts.count) claims; name the one with the data in spec.claim "
                        + "of ManagedService \(service.metadata.name)")
            }
            volume = only.name
        }
        let places = mounts.filter { $0.name == volume }
        guard places.count == 1, let mount = places.first else {
            return refused(
                "UnsupportedMode", "container \(container.name) mounts claim \(volume) \(places.count) times, not once")
        }
        guard mount.subPathExpr == nil else {
            return refused("UnsupportedMode", "claim \(volume) is mounted with subPathExpr; use subPath")
        }
        return .success((volume, mount))
    }

    private static func directory(
        _ container: ServiceWorkload.Container, _ profile: ImageProfile, _ major: Int?
    ) -> String? {
        if let own = container.env?.last(where: { $0.name == "PGDATA" }) { return own.value }
        return major.map { profile.dataDirectory(major: $0) }
    }

    /// PGDATA must lie below the mount: what is replaced is renamed, and a mount point can't be.
    private func misplaced(_ directory: String?) -> PlanFinding? {
        guard let directory, directory.hasPrefix("/"), !directory.split(separator: "/").contains("..") else {
            return PlanFinding(
                reason: "InvalidSpec",
                message: "StatefulSet \(statefulSet): where the data lies is not known: set spec.major of the "
                    + "ManagedService, or PGDATA as a plain value on container \(container.name)")
        }
        let root = mount.mountPath.hasSuffix("/") ? mount.mountPath : mount.mountPath + "/"
        let path = directory.hasSuffix("/") ? String(directory.dropLast()) : directory
        if path + "/" == root {
            return PlanFinding(
                reason: "PgdataIsMountpoint",
                message: "StatefulSet \(statefulSet): PGDATA \(path) is the mount point itself, and can't be renamed. "
                    + "Set PGDATA to a directory below it, or restore into a new service")
        }
        guard path.hasPrefix(root) else {
            return PlanFinding(
                reason: "InvalidSpec",
                message: "StatefulSet \(statefulSet): PGDATA \(path) is not on claim \(claim), which is mounted at "
                    + "\(mount.mountPath); correct spec.claim or spec.container of the ManagedService")
        }
        return nil
    }

    /// What `spec.confirm` must say for this incarnation of the service.
    package func confirmation(_ service: String) -> String { "\(service)/\(uid.prefix(8))" }
}

/// Why a service's data can't be replaced.
package struct ServiceRefusal: Error, Equatable {
    package var finding: PlanFinding

    init(_ finding: PlanFinding) { self.finding = finding }
}
