// SPDX-License-Identifier: Apache-2.0

/// The kubelet reads `$(NAME)` in commands, arguments and values as a variable, and `$$` as one dollar.
package enum Expansion {
    /// Text that comes out of that as it is here.
    package static func escaped(_ text: String) -> String {
        // By bytes, as the kubelet reads it: this is asked of every value and program in every pass.
        let isSpecial = zip(text.utf8, text.utf8.dropFirst()).contains { $0 == 0x24 && ($1 == 0x24 || $1 == 0x28) }
        guard isSpecial else { return text }
        let bytes = text.utf8.reduce(into: [UInt8]()) { bytes, byte in
            bytes.append(byte)
            if byte == 0x24 { bytes.append(byte) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What the kubelet makes of text in which no variable is read; `nil` when one is.
    package static func literal(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var left = Array(text.utf8)[...]
        while let byte = left.popFirst() {
            bytes.append(byte)
            guard byte == 0x24, let next = left.first else { continue }
            if next == 0x28 { return nil }
            if next == 0x24 { left = left.dropFirst() }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A shell program as a container's command.
    package static func shell(_ program: String) -> [String] { ["/bin/sh", "-c", escaped(program), "reprise"] }
}
