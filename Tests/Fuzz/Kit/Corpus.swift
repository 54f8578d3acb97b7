// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The files that inputs are made of, and those that once broke something.
package enum Corpus {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .path

    /// Where found cases are kept, each as `<decoder>-<hash>.bin`.
    package static let foundFolder = root + "/Found"

    /// The good inputs of a decoder, and the found ones, in the order of their names.
    package static func inputs(of decoder: FuzzDecoder) -> [[UInt8]] {
        let folder = "\(root)/Corpus/\(decoder.name)"
        return names(folder).compactMap { read("\(folder)/\($0)") } + decoder.samples + found(decoder).map(\.bytes)
    }

    /// The inputs that broke a decoder once.
    package static func found(_ decoder: FuzzDecoder) -> [(name: String, bytes: [UInt8])] {
        names(foundFolder).compactMap { name in
            // What follows is the hash: a decoder's name may have a dash too.
            guard name.hasSuffix(".bin"),
                name.dropLast(4).split(separator: "-").dropLast().joined(separator: "-") == decoder.name
            else { return nil }
            return read("\(foundFolder)/\(name)").map { (name, $0) }
        }
    }

    /// Keeps a case; the same bytes get the same name.
    package static func keep(_ bytes: [UInt8], of decoder: String) throws -> String {
        let hash = bytes.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
        let name = "\(decoder)-\(String(hash & 0xFFFF_FFFF, radix: 16)).bin"
        try FileManager.default.createDirectory(atPath: foundFolder, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: "\(foundFolder)/\(name)"))
        return name
    }

    /// A file's bytes; `nil` when there is none.
    package static func read(_ path: String) -> [UInt8]? {
        FileManager.default.contents(atPath: path).map { [UInt8]($0) }
    }

    private static func names(_ folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { !$0.hasPrefix(".") }.sorted()
    }
}
