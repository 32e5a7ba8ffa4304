/** Opens the databases at argv[3] and following as a user without rights (argv[2]), and prints how each of them ended. Imports come first: that user may not read them. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"

const [, , uid, ...paths] = process.argv
if (uid !== "") process.setuid!(Number(uid))
const open = (path: string) =>
  Layer.build(LightningDb.layer({ path, compactionWorkers: 0 })).pipe(
    Effect.flatMap((context) => Context.get(context, Database).put("k", "v")),
    Effect.as({ _tag: "opened", message: "", code: "" }),
    Effect.catch((error) => Effect.succeed({ _tag: error._tag, message: error.message, code: "code" in error ? error.code : "" })),
    Effect.scoped
  )
console.log(JSON.stringify(await Effect.runPromise(Effect.forEach(paths, open))))
