"""Flax Linen networks, one file per network; the only room with Linen definitions.

image_features   AlexNet, VGG-16 and SqueezeNet up to their last convolution
lpips, dists     perceptual distances between pictures on top of them
unet             UNet2DCondition: the denoiser of Stable Diffusion, with hooks for adapters
controlnet       ControlNet: pictures that steer a UNet
motion           motion modules (AnimateDiff) and the UNet with them
autoencoder_kl   AutoencoderKL: pictures <-> latents
autoencoder_tiny AutoencoderTiny (TAESD): the same, small and fast
clip             CLIP: text encoder, and text and pictures in one space
segformer        SegFormer: a class for every pixel
internvl         InternVL: pictures and text in, text out; made of the next two
internvit        its vision transformer
qwen2            its language model, with a cache
bert             BERT and RoBERTa: token vectors, for BERTScore
attention        attention, feed-forward layers and the transformer in a UNet
layers           convolutions, norms, time embeddings
"""
