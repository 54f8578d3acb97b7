// SPDX-License-Identifier: Apache-2.0
// Written by hack/embed-programs.sh from programs/postgres. Edit that.

/// The shell programs that Jobs of this engine run with the service's own image.
///
/// Each is the whole text for `sh -c`: the prologue, which they share, stands before every one.
package enum PostgresPrograms {}
