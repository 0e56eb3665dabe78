// Load the ONNX models of the page by onnxruntime-web, whose files are in the page: window.vae becomes a promise of
// {decode, describe}.

const text = id => document.getElementById(id).textContent.trim()
const bytes = id => Uint8Array.from(atob(text(id)), character => character.charCodeAt(0))
const unzipped = id => new Response(new Blob([bytes(id)]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer()

async function load() {
  const script = new Blob([await unzipped("ort-script")], {type: "text/javascript"})
  const ort = await import(URL.createObjectURL(script))
  ort.env.wasm.wasmBinary = await unzipped("ort-wasm")
  ort.env.wasm.numThreads = 1  // more need headers that a file on a web server seldom has
  const sessions = {}
  for (const name of ["decoder", "describer"]) {
    sessions[name] = await ort.InferenceSession.create(new Uint8Array(await unzipped(name)))
  }
  // Sessions run one call at a time.
  let last = Promise.resolve()
  const run = (name, inputs) => last = last.catch(() => {}).then(() => sessions[name].run(inputs))
  return {
    decode: async (z, label) => {
      const inputs = {z: new ort.Tensor("float32", z, [1, z.length])}
      if (sessions.decoder.inputNames.includes("labels")) {
        inputs.labels = new ort.Tensor("int64", BigInt64Array.of(BigInt(label)), [1])
      }
      return (await run("decoder", inputs)).images.data
    },
    describe: async segments => {
      const strokes = new ort.Tensor("float32", segments, [segments.length / 4, 4])
      const outputs = await run("describer", {segments: strokes})
      return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data]))
    },
  }
}

window.vae = load()
window.vae.catch(error => {
  document.querySelector("header").append(`The model cannot be run in this browser: ${error.message}`)
})
