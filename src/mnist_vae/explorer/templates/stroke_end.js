export default ({strokes}, {x, y}) => {
  if (x >= 0 && x <= 1 && y >= 0 && y <= 1) return
  const [xs, ys] = ["xs", "ys"].map(name => [...strokes.get_array(name)])
  strokes.data = {xs: [], ys: []}  // the tool has changed the arrays in place, so that they would count as unchanged
  strokes.data = {xs, ys}
}
