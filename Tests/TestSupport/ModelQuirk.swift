// SPDX-License-Identifier: Apache-2.0

/// A fault planted in the model server, to prove that the comparison with a real server notices it.
///
/// `ModelAPI.quirk` is the one place where it is switched on; a simulation never does.
package enum ModelQuirk: String, CaseIterable, Sendable {
    case ignoresUIDOnDelete = "a DELETE's uid is ignored"
    case statusPatchChecksUID = "a patch of a custom object's status checks the uid"
    case conflictIsInvalid = "a stale resourceVersion is answered 422"
    case keepsGeneration = "a change of the spec leaves the generation"
    case writesNoops = "a write without a change makes a new resourceVersion"
    case deletedEventIsOld = "the event of a deletion carries the version before"
    case leavingIsModified = "an object that leaves a selector is told as MODIFIED"
    case ignoresFinalizers = "an object with finalizers is deleted at once"
    case existsIsConflict = "AlreadyExists is answered as Conflict"
    case ignoresFieldSelector = "a field selector is ignored"
    case ignoresLimit = "a list's limit is ignored"
    case statusWritesSpec = "a write of the status also writes the spec"
    case testAlwaysHolds = "the test of a JSON patch always holds"
}
