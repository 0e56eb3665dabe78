"""A figure that is drawn when this is imported: a fork of the process has fonts and the like in memory already."""

import io

from matplotlib.figure import Figure

figure = Figure()
axis = figure.add_subplot(title="$z_1$, 0.5")
axis.imshow([[0.0, 1.0]])
axis.legend(axis.plot([0, 1]), ["label"])
figure.savefig(io.BytesIO(), format="png")
