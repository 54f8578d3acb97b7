// SPDX-License-Identifier: Apache-2.0

import Foundation
import Resources
import Testing

@testable import Reconciler

/// What the pods are like that work on the volume of a user's service.
@Suite("The Jobs of a run in place")
struct InPlaceJobTests {
    /// A user's StatefulSet with all that a pod of it has and a Job's must not have.
    private static let statefulSet = """
        {"metadata": {"name": "orders-db", "namespace": "staging", "uid": "u-1", "labels": {"app": "orders"}},
         "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "orders"}},
          "template": {
           "metadata": {"labels": {"app": "orders"}, "annotations": {"sidecar.istio.io/inject": "true"}},
           "spec": {
            "serviceAccountName": "orders", "hostNetwork": true, "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "db", "operator": "Exists"}], "imagePullSecrets": [{"name": "pull"}],
            "runtimeClassName": "gvisor", "priorityClassName": "high", "securityContext": {"fsGroup": 999},
            "affinity": {"nodeAffinity": {"its": "own"}},
            "initContainers": [{"name": "prepare", "image": "busybox"}],
            "containers": [
             {"name": "exporter", "image": "exporter:1", "ports": [{"name": "m", "containerPort": 9187}]},
             {"name": "postgres", "image": "registry.example.com/postgres-walg:15", "command": ["run"],
              "ports": [{"name": "pg", "containerPort": 5432}], "readinessProbe": {"exec": {"command": ["true"]}},
              "livenessProbe": {"exec": {"command": ["true"]}}, "lifecycle": {},
              "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
              "securityContext": {"runAsUser": 999},
              "env": [
               {"name": "LANG", "value": "C"}, {"name": "PGDATA", "value": "/var/lib/postgresql/15/main"},
               {"name": "WALG_S3_PREFIX", "value": "s3://own/orders"}, {"name": "WALG_COMPRESSION_METHOD", "value": "lz4"},
               {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "own-s3", "key": "id"}}},
               {"name": "AWS_SESSION_TOKEN", "value": "own"}, {"name": "REPRISE_VOLUME", "value": "/elsewhere"}],
              "volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql"},
                               {"name": "conf", "mountPath": "/etc/conf"}, {"name": "host", "mountPath": "/host"}]}],
            "volumes": [{"name": "conf", "configMap": {"name": "orders-conf"}},
                        {"name": "host", "hostPath": {"path": "/"}}, {"name": "unused", "emptyDir": {}}]}},
          "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}}
        """

    private static func jobs(replicas: Int = 1) throws -> [JobRole: JobManifest] {
        var workload = try JSONDecoder().decode(ServiceWorkload.self, from: Data(statefulSet.utf8))
        workload.spec?.replicas = replicas
        let unit = try ServiceUnit.read(InPlaceWorld.service, workload).get()
        let owner = OwnerReference(
            apiVersion: "reprise.dev/v1alpha1", kind: "RestoreRun", name: "back", uid: Story.uid, controller: true)
        let jobs = PostgresInPlaceJobs(
            scope: InPlaceWorld.scope, unit: unit, image: InPlaceWorld.image, settings: FakeReader().settings,
            owner: owner)
        let access = try #require(RepositoryAccess(Story.repository("prod", prefix: "prod")))
        let what = PostgresInPlaceJobs.Replacement(
            access: access, path: "orders", major: 15, pinned: nil, targetKind: "latest", target: "",
            isInclusive: true, timeline: "current", isCrossService: false, takesTail: true, rollbackUID: nil,
            stoppedAt: nil, checks: [], amcheck: false)
        return [
            .inspect: jobs.inspect(1), .recheck: jobs.inspect(1, again: true),
            .replace: jobs.replace(1, what, deadline: 3_600), .undo: jobs.undo(1), .tidy: jobs.tidy(1),
        ]
    }

    static let roles: [JobRole] = [.inspect, .recheck, .replace, .undo, .tidy]

    private static func look(_ role: JobRole, replicas: Int = 1) throws -> (
        JobManifest, PodSpecManifest, ContainerManifest
    ) {
        let job = try #require(try jobs(replicas: replicas)[role])
        let pod = job.spec.template.spec
        return (job, pod, try #require(pod.containers.first))
    }

    @Test("who changes the data while nobody may can't start without the permit", arguments: roles)
    func permit(_ role: JobRole) throws {
        let (_, pod, container) = try Self.look(role)
        let name = InPlaceWorld.scope.permit(role)
        let volumes = (pod.volumes ?? []).filter { $0.configMap?.name == name }
        guard [.replace, .undo].contains(role) else {
            #expect(volumes.isEmpty)
            return
        }
        let volume = try #require(volumes.first)
        let mount = try #require(container.volumeMounts.first { $0.name == volume.name })
        #expect(mount.readOnly == true)
        // As the API server gets it: not optional.
        let text = String(decoding: try JSONEncoder().encode(volume), as: UTF8.self)
        #expect(text.contains("configMap") && !text.contains("optional"), "\(text)")
    }

    @Test("who looks beside the running server can't write, and who replaces can", arguments: roles)
    func readOnly(_ role: JobRole) throws {
        let (_, pod, container) = try Self.look(role)
        let volume = try #require(pod.volumes?.first { $0.persistentVolumeClaim != nil })
        let mount = try #require(container.volumeMounts.first { $0.name == volume.name })
        let isLooking = [.inspect, .recheck].contains(role)
        #expect(volume.persistentVolumeClaim?.claimName == "data-orders-db-0")
        #expect(volume.persistentVolumeClaim?.readOnly == (isLooking ? true : nil))
        #expect(mount.readOnly == (isLooking ? true : nil))
        #expect(mount.mountPath == "/var/lib/postgresql")
    }

    @Test("one container, and nothing of the service's that serves, watches or is counted", arguments: roles)
    func bare(_ role: JobRole) throws {
        let (job, pod, container) = try Self.look(role)
        #expect(pod.containers.count == 1 && pod.initContainers == nil)
        #expect(container.image == InPlaceWorld.image)
        #expect(container.ports == nil)
        #expect(container.startupProbe == nil && container.readinessProbe == nil && container.livenessProbe == nil)
        #expect(container.command?.prefix(2) == ["/bin/sh", "-c"])
        #expect(!pod.automountServiceAccountToken && !pod.enableServiceLinks)
        #expect(pod.restartPolicy == "Never")
        let labels = [
            Label.managedBy: Label.managedByValue, Label.runUID: Story.uid, Label.job: job.metadata.name,
        ]
        #expect(job.metadata.labels == labels)
        #expect(job.spec.template.metadata.labels == labels, "the service's selector must never match")
        #expect(
            job.spec.template.metadata.annotations == [
                "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled",
            ])
        // Host paths are not taken over, nor what the container does not mount.
        let names = Set((pod.volumes ?? []).map(\.name)).subtracting(["reprise-permit"])
        #expect(names == ["data", "conf"])
        #expect(Set(container.volumeMounts.map(\.name)).subtracting(["reprise-permit"]) == names)
    }

    @Test("the service's own archive and keys stay with the service; the source's are set once", arguments: roles)
    func variables(_ role: JobRole) throws {
        let (_, _, container) = try Self.look(role)
        let env = container.env
        #expect(Set(env.map(\.name)).count == env.count, "each name once")
        #expect(env.first { $0.name == "LANG" }?.value == "C")
        #expect(env.first { $0.name == "PGDATA" }?.value == "/var/lib/postgresql/15/main")
        #expect(env.first { $0.name == "REPRISE_VOLUME" }?.value == "/var/lib/postgresql")
        let stores = env.filter { $0.name.hasPrefix("AWS_") || $0.name.hasPrefix("WALG_") }
        let access = try #require(RepositoryAccess(Story.repository("prod", prefix: "prod")))
        #expect(stores == (role == .replace ? access.environment : []))
        let meant = env.first { $0.name == "REPRISE_STORE_VARIABLES" }?.value
        #expect(meant == stores.map(\.name).joined(separator: " "), "what comes by envFrom is unset")
    }

    @Test("it runs where the service's pod runs, with its means", arguments: roles)
    func place(_ role: JobRole) throws {
        let (_, pod, container) = try Self.look(role)
        #expect(pod.nodeSelector == ["disk": "fast"])
        #expect(pod.tolerations?.map(\.key) == ["db"])
        #expect(pod.imagePullSecrets?.map(\.name) == ["pull"])
        #expect(pod.runtimeClassName == "gvisor" && pod.priorityClassName == "high")
        #expect(pod.securityContext == .copied(.object(["fsGroup": .integer(999)])))
        #expect(container.securityContext == .copied(.object(["runAsUser": .integer(999)])))
        #expect(
            container.resources
                == ResourceRequirements(requests: ["memory": "1Gi"], limits: ["memory": "2Gi"]))
        let own: Passthrough = .object(["nodeAffinity": .object(["its": .string("own")])])
        let beside = Passthrough.affinity(besidePodsWith: ["statefulset.kubernetes.io/pod-name": "orders-db-0"])
        let runsBeside = [.inspect, .recheck, .tidy].contains(role)
        #expect(pod.affinity == (runsBeside ? beside : own))
        // Beside nobody, where nobody runs.
        #expect(try Self.look(role, replicas: 0).1.affinity == own)
    }

    @Test("it ends by itself, and goes with its run", arguments: roles)
    func ends(_ role: JobRole) throws {
        let (job, pod, _) = try Self.look(role)
        let limits: [JobRole: Int] = [.inspect: 300, .recheck: 300, .replace: 3_720, .undo: 1_020, .tidy: 1_020]
        #expect(pod.activeDeadlineSeconds == limits[role])
        #expect(job.spec.backoffLimit == 0)
        #expect(job.metadata.ownerReferences.map(\.uid) == [Story.uid])
    }
}
