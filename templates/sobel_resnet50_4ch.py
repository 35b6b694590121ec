"""Example of a template: ResNet-50 over four channels, RGB and the Sobel edge magnitude of the grey picture.

Needs torchvision. Use: trace CKPT --template sobel_resnet50_4ch --num-classes N
"""

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

TEMPLATE_NAME = "SobelResNet50(4ch)"
INPUTS = [{"name": "image", "shape": [1, 3, 384, 384], "dtype": "float32"}]


class SobelResNet50(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        x = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
        self.register_buffer("sobel", torch.stack([x, x.t()])[:, None], persistent=False)
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1), persistent=False)  # BT.601
        self.backbone = torchvision.models.resnet50(weights=None, num_classes=num_classes)
        self.backbone.conv1 = nn.Conv2d(4, 64, 7, stride=2, padding=3, bias=False)

    def forward(self, image):
        grey = (image * self.luma).sum(dim=1, keepdim=True)
        gradient = F.conv2d(grey, self.sobel, padding=1)
        edges = torch.sqrt((gradient * gradient).sum(dim=1, keepdim=True) + 1e-6)
        return self.backbone(torch.cat([image, edges], dim=1))


def build(num_classes, pretrained=False):
    return SobelResNet50(num_classes)
