// The page's callbacks in the browser: what Page and Subject do on a server. `decode` and `describe` are ONNX models.

let z = null
let label = null
let turn = 0  // counts what was asked for, so that a late answer to an earlier question is dropped
let shown = []  // the values that the page itself gave the sliders

function project({directions, offset}) {
  return [0, 1].map(axis => z.reduce((sum, value, j) => sum + value * directions[j][axis], -offset[axis]))
}

function toCode(position, plane) {
  const at = project(plane), inverse = plane.inverse
  return z.map((value, j) => value + inverse[j][0] * (position[0] - at[0]) + inverse[j][1] * (position[1] - at[1]))
}

// Write values in [0, 1], (channels, height, width), to a picture's RGBA, whose first row is the lowest.
function show(source, values) {
  const picture = source.get_array("image")[0]
  const [height, width] = picture.shape
  const bytes = new Uint8ClampedArray(picture.buffer, picture.byteOffset, picture.byteLength)
  const channels = values.length / (height * width)
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) {
    const from = ((channels === 3 ? c : 0) * height + y) * width + x
    bytes[4 * ((height - 1 - y) * width + x) + c] = 255 * values[from]
  }
  source.change.emit()
}

function table(name, head, values) {
  const cells = values.map(value => `<td>${value.toFixed(2).replace("-", "−")}</td>`).join("")
  return `<table><tr><th>nats</th>${head.map(name => `<th>${name}</th>`).join("")}</tr><tr><td>${name}</td>${cells}</tr></table>`
}

function place({sliders, dimensions, marker, plane}) {
  shown = sliders.map((slider, i) => Math.min(Math.max(z[dimensions[i]], slider.start), slider.end))
  sliders.forEach((slider, i) => { slider.value = shown[i] })
  const [x, y] = project(plane)
  marker.data = {x: [x], y: [y]}
}

async function showCode(args, model) {
  const mine = ++turn
  const image = await model.decode(z, label)
  if (mine !== turn) return
  show(args.output, image)
  args.input_column.visible = false
  args.numbers.text = ""
  place(args)
}

async function showStrokes(args, model) {
  const segments = []
  args.strokes.get_array("xs").forEach((xs, i) => {
    const ys = args.strokes.get_array("ys")[i]
    for (let j = 0; j < Math.max(xs.length - 1, 1); j++) {
      const next = Math.min(j + 1, xs.length - 1)
      segments.push(xs[j], 1 - ys[j], xs[next], 1 - ys[next])
    }
  })
  if (segments.length === 0) return
  const mine = ++turn
  const {drawn, code, decoded, nats, likeliest} = await model.describe(segments)
  if (mine !== turn) return
  z = Array.from(code)
  label = Number(likeliest[0])
  args.label.value = String(label)
  show(args.input, drawn)
  show(args.output, decoded)
  args.input_column.visible = true
  const guess = args.label.visible ? `<p>label of the largest ELBO: ${args.classes[label]}</p>` : ""
  args.numbers.text = table(args.name, ["ELBO", "reconstruction", "KL"], [-nats[0] - nats[1], nats[0], nats[1]]) + guess
  place(args)
}

window.callbacks.standalone = async (args, changed) => {
  const model = await window.vae
  z ??= args.start
  label ??= args.start_label
  const slider = args.sliders.indexOf(changed)
  if (changed === args.strokes) return showStrokes(args, model)
  if (changed === args.pointer) z = toCode([args.pointer.data.x[0], args.pointer.data.y[0]], args.plane)
  else if (changed === args.label) {
    if (label === Number(args.label.value)) return
    label = Number(args.label.value)
  }
  else if (slider >= 0) {
    if (changed.value === shown[slider]) return
    z = z.map((value, j) => j === args.dimensions[slider] ? changed.value : value)
  }
  else if (changed.origin === args.random_code_button) z = args.prior[Math.floor(Math.random() * args.prior.length)]
  else if (changed.origin === args.prior_mean_button) z = args.prior_mean
  else {
    args.strokes.data = {xs: [], ys: []}
  }
  return showCode(args, model)
}
