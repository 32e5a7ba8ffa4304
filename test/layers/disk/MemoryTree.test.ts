import { expect, it } from "vitest"
import { IoFailure } from "../../../src/domain/failures.ts"
import { MemoryTree } from "../../../src/layers/disk/MemoryTree.ts"

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (cause) {
    return (cause as IoFailure).code
  }
  return "ok"
}

it("refuses with the codes POSIX gives", () => {
  const tree = new MemoryTree(64)
  tree.makeDirectory("/d/e")
  tree.makeDirectory("/empty")
  tree.create("/f")
  tree.create("/d/g")
  expect(codeOf(() => tree.rename("/f", "/d"))).toBe("EISDIR")
  expect(codeOf(() => tree.rename("/d", "/f"))).toBe("ENOTDIR")
  expect(codeOf(() => tree.rename("/empty", "/d"))).toBe("ENOTEMPTY")
  expect(codeOf(() => tree.rename("/d", "/d/e/x"))).toBe("EINVAL")
  expect(codeOf(() => tree.rename("/d", "/d/x"))).toBe("EINVAL")
  expect(codeOf(() => tree.link("/d", "/h"))).toBe("EPERM")
  expect(codeOf(() => tree.file("open", "/d"))).toBe("EISDIR")
  expect(codeOf(() => tree.directory("list", "/f"))).toBe("ENOTDIR")
  expect(codeOf(() => tree.find("stat", "/f/x"))).toBe("ENOTDIR")
  expect(codeOf(() => tree.remove("/"))).toBe("EBUSY")
  expect(() => tree.create("/nothing/x")).toThrow(new IoFailure("open", "/nothing/x", "ENOENT"))
  expect(tree.rename("/f", "/f")).toBeUndefined()
  expect(codeOf(() => tree.rename("/d/e", "/empty"))).toBe("ok")
  expect(tree.find("stat", "/d/e")).toBeUndefined()
})

it("reads paths with empty parts, dots and parents", () => {
  const tree = new MemoryTree(64)
  tree.makeDirectory("a/b")
  const { node } = tree.create("./a//b/../b/c/")
  expect(tree.find("stat", "/a/b/c")).toBe(node)
  expect(tree.find("stat", "../../a/b/c")).toBe(node)
  expect(tree.find("stat", "")).toBe(tree.root)
})
