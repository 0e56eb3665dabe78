import torch

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.subject import Subject

Explored = dict[str, ExploredRun]


def test_an_image_is_encoded_by_each_run(explored: Explored) -> None:
    runs = [explored["mlp"], explored["plane"]]
    subject, changes = Subject(runs), []
    subject.changed.append(lambda: changes.append(len(changes)))
    subject.show_image(runs[0].pixels(4), 4)
    assert changes == [0]
    assert [torch.allclose(z, run.posterior.mean[4], atol=1e-4) for z, run in zip(subject.codes, runs, strict=True)]
    for image, inspection in zip(subject.images(), subject.inspections, strict=True):
        assert torch.allclose(image, inspection.reconstruction[0], atol=1e-5)


def test_a_code_goes_through_runs_of_as_many_dimensions_as_it_is(explored: Explored) -> None:
    subject = Subject([explored["conv"], explored["conditional"]])
    z = torch.tensor([0.5, -1.0, 0.2])
    subject.show_code(z)
    assert [code.tolist() for code in subject.codes] == [z.tolist()] * 2
    assert subject.x is None and not subject.inspections


def test_through_another_latent_space_goes_the_image_of_a_code(explored: Explored) -> None:
    first, second = explored["mlp"], explored["plane"]
    subject = Subject([first, second])
    z = first.posterior.mean[2]
    subject.show_code(z)
    image = first.decode(z[None])[0]
    assert torch.allclose(subject.codes[1], second.inspect(image).mean[0])


def test_a_label_switch_keeps_the_code(explored: Explored) -> None:
    subject = Subject([explored["conditional"]])
    subject.show_image(explored["conditional"].pixels(0), 3)
    code, before = subject.codes[0], subject.images()[0]
    subject.show_label(7)
    assert torch.equal(subject.codes[0], code) and subject.label == 7
    assert torch.equal(subject.images()[0], explored["conditional"].decode(code[None], 7)[0])
    assert not torch.equal(subject.images()[0], before)


def test_without_a_label_a_conditional_run_guesses_one(explored: Explored) -> None:
    run = explored["conditional"]
    subject = Subject([explored["mlp"], run])
    subject.show_image(run.pixels(5))
    assert subject.label == run.most_likely_label(run.pixels(5))


def test_a_line_is_shown_until_something_else_is(explored: Explored) -> None:
    subject = Subject([explored["plane"]])
    line = torch.zeros(2, 2)
    subject.show_codes([torch.zeros(2)], line)
    subject.show_label(0)
    assert subject.line is line
    subject.show_code(torch.ones(2))
    assert subject.line is None


def test_codes_of_a_test_image(explored: Explored) -> None:
    run = explored["conditional"]
    [code] = Subject([run]).codes_of_test_image(6)
    assert torch.allclose(code, run.posterior.mean[6], atol=1e-4)
