/**
 * Names of restore points, and of their directories. A name is 1 to 100 characters: ASCII letters, digits, ".", "_" and "-", beginning with a letter or digit. So it is a file name on every
 * file system, cannot be taken for a path, and cannot be one of ours that begin with ".". The n-th restore point of a name is in the directory `name@n`, the first one in `name`.
 */

export interface PointReference {
  readonly name: string
  /** From 1; undefined: the newest there is. */
  readonly version: number | undefined
}

export const pointNameMax = 100
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
/** Names that Windows keeps for devices, with any extension. */
const devicePattern = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i
const versionPattern = /^[1-9][0-9]{0,8}$/

/** What keeps it from being a name, in words; undefined where nothing does. */
export const pointNameProblem = (name: unknown): string | undefined => {
  if (typeof name !== "string") return "it must be a string"
  if (name === "") return "it is empty"
  if (name.length > pointNameMax) return `it has ${name.length} characters, more than ${pointNameMax}`
  if (!namePattern.test(name)) return 'it may have letters, digits, ".", "_" and "-", and begins with a letter or digit'
  if (name.endsWith(".")) return 'it ends with "."'
  return devicePattern.test(name) ? "some systems keep that name for a device" : undefined
}

/** `nightly` and 3 make `nightly@3`. */
export const pointDirectory = (name: string, version: number): string => (version === 1 ? name : `${name}@${version}`)

/** What a directory of ours is about; undefined for every other name, also for another spelling of one of ours. */
export const parsePointDirectory = (directory: string): { readonly name: string; readonly version: number } | undefined => {
  const reference = parsePointReference(directory)
  if (reference === undefined) return undefined
  const { name, version = 1 } = reference
  return pointDirectory(name, version) === directory ? { name, version } : undefined
}

/** `nightly` is the newest of that name, `nightly@1` the first. Undefined for what is neither. */
export const parsePointReference = (text: unknown): PointReference | undefined => {
  if (typeof text !== "string") return undefined
  const at = text.indexOf("@")
  const name = at < 0 ? text : text.slice(0, at)
  if (pointNameProblem(name) !== undefined) return undefined
  if (at < 0) return { name, version: undefined }
  const digits = text.slice(at + 1)
  return versionPattern.test(digits) ? { name, version: Number(digits) } : undefined
}

/** Being made, and being removed: never listed, and cleared away by whoever next changes something. */
export const makingSuffix = ".making"
export const removingSuffix = ".removing"

/** Where the restore point is made before it has its name. */
export const makingDirectory = (name: string, version: number): string => `.${name}@${version}${makingSuffix}`
export const removingDirectory = (name: string, version: number): string => `.${name}@${version}${removingSuffix}`

/** Whether a crash left it: a directory that was being made or removed. */
export const isUnfinished = (directory: string): boolean => {
  const suffix = directory.endsWith(makingSuffix) ? makingSuffix : directory.endsWith(removingSuffix) ? removingSuffix : undefined
  if (suffix === undefined || !directory.startsWith(".")) return false
  return parsePointReference(directory.slice(1, -suffix.length))?.version !== undefined
}
